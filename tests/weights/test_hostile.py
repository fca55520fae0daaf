"""Files made to harm: refused by what their header says, before anything reads on."""

import json
import pathlib
import struct

import gguf
import pytest
from safetensors.numpy import save_file

from steppo_jax.models.families import ModelError
from steppo_jax.weights import files, gguf_file, huggingface
from tests.weights.test_gguf_file import stored  # noqa: F401, a fixture
from tests.weights.test_gguf_file import write as write_gguf
from tests.weights.test_huggingface import write_checkpoint

ARRAY, STRING, FLOAT = 9, 8, 6


def header(*, tensors=0, fields=1, body=b"") -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, fields) + body


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def listed(kind: int, count: int) -> bytes:
    """A field "x" that says it is a list of so many."""
    return text("x") + struct.pack("<IIQ", ARRAY, kind, count) + bytes(64)


def tensor(*sizes: int, offset: int = 0) -> bytes:
    shape = struct.pack(f"<I{len(sizes)}Q", len(sizes), *sizes)
    return text("token_embd.weight") + shape + struct.pack("<IQ", 0, offset)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (header(body=listed(FLOAT, 2**60)), "entries do not fit"),
        (header(body=listed(STRING, 2**60)), "entries do not fit"),
        (header(body=listed(ARRAY, 1)), "lists of value type 9"),
        (header(fields=2**60, body=bytes(64)), "entries do not fit"),
        (header(tensors=2**60, fields=0, body=bytes(64)), "tensors do not fit"),
        (header(body=text("x") + struct.pack("<I", 77) + bytes(9)), "type 77 is unkn"),
        (header(body=struct.pack("<Q", 2**63) + bytes(9)), "it ends inside"),
        (header(tensors=1, fields=0, body=tensor(2**32, 2**32)), "tensor of size"),
        (header(tensors=1, fields=0, body=tensor(*[1] * 9)), "9 dimensions"),
        (header(tensors=1, fields=0, body=tensor(2, offset=2**40)), "beyond the end"),
        (b"GGUF" + struct.pack("<IQQ", 9, 0, 0), "version 9"),
        (b"GGML" + bytes(60), "does not begin with GGUF"),
        (b"", "no readable GGUF"),
    ],
)
def test_counts_that_do_not_fit_never_reach_the_reader(
    tmp_path, monkeypatch, data, says
):
    """The reader would go through 2⁶⁰ entries, or ask for 2⁶⁴ bytes."""
    monkeypatch.setattr(gguf, "GGUFReader", lambda path: pytest.fail("read"))
    (tmp_path / "model.gguf").write_bytes(data)
    with pytest.raises(ModelError, match=says) as error:
        gguf_file.load(tmp_path / "model.gguf")
    assert "\n" not in str(error.value)


def test_a_good_header_is_walked_to_its_end(stored):  # noqa: F811
    folder, tensors = stored
    write_gguf(folder / "model.gguf", tensors)
    gguf_file.load(folder / "model.gguf")


@pytest.mark.parametrize("outside", ["../lent.safetensors", "/lent.safetensors"])
def test_shards_outside_the_folder_are_not_opened(tmp_path, outside):
    """The file that the name leads to is a whole checkpoint."""
    folder = tmp_path / "model"
    folder.mkdir()
    drawn = write_checkpoint(folder, "llama")
    save_file(drawn, tmp_path / "lent.safetensors")
    (folder / huggingface.ONE).unlink()
    name = outside if outside.startswith(".") else str(tmp_path) + outside
    index = {"weight_map": dict.fromkeys(drawn, name)}
    (folder / huggingface.INDEX).write_text(json.dumps(index))
    with pytest.raises(ModelError, match="only plain file names are read"):
        huggingface.load(folder)


def test_the_same_index_inside_the_folder_is_read(tmp_path):
    drawn = write_checkpoint(tmp_path, "llama")
    index = {"weight_map": dict.fromkeys(drawn, huggingface.ONE)}
    (tmp_path / huggingface.INDEX).write_text(json.dumps(index))
    huggingface.load(tmp_path)


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("num_hidden_layers", 10**9, "a whole number from 1 to 1024"),
        ("num_attention_heads", 0, "a whole number"),
        ("hidden_size", "24", "a whole number"),
        ("vocab_size", True, "a whole number"),
        ("rms_norm_eps", -1.0, "a positive number"),
        ("rope_theta", "x", "a positive number"),
        ("tie_word_embeddings", "no", "true or false"),
        ("model_type", ["llama"], "is not one of"),
    ],
)
def test_fields_of_another_kind_are_refused(tmp_path, field, value, says):
    write_checkpoint(tmp_path, "llama")
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    config.pop("rope_parameters", None)
    path.write_text(json.dumps(config | {field: value}))
    with pytest.raises(ModelError, match=says):
        huggingface.load(tmp_path)


def test_weights_that_are_whole_numbers_are_refused(tmp_path):
    drawn = write_checkpoint(tmp_path, "llama")
    drawn["model.norm.weight"] = drawn["model.norm.weight"].astype("int32")
    save_file(drawn, tmp_path / huggingface.ONE)
    with pytest.raises(ModelError, match="holds int32, not real numbers"):
        huggingface.load(tmp_path)


def test_an_index_that_names_half_a_character_is_refused():
    with pytest.raises(ModelError, match="is no safetensors file"):
        files.open_tensors(pathlib.Path("\ud800"))
