"""`experiments.convert`: what it writes is what went in; bad input is one line."""

import functools
import json
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import flagsaver
from safetensors.numpy import load_file, save_file

from steppo_jax.chat import gguf_tokenizer
from steppo_jax.chat import tokenizer as chat
from steppo_jax.errors import Refused
from steppo_jax.models import lora
from steppo_jax.models.merging import merge
from steppo_jax.weights import gguf_file, huggingface, peft
from tests import entry_points
from tests.chat import test_gguf_tokenizer
from tests.chat.make_reference import FOLDER as WORDS
from tests.weights import test_gguf_file
from tests.weights.test_huggingface import write_checkpoint
from tests.weights.test_peft import adapted

convert = entry_points.load("convert")
its_flags = entry_points.with_flags("convert")


def run(**given):
    with flagsaver.flagsaver(**{k: str(v) for k, v in given.items()}):
        convert.main()


def run_with(options, **given):
    with flagsaver.flagsaver(**options):
        run(**given)


@pytest.fixture
def file(tmp_path):
    """A whole GGUF file: a small llama whose words are the reference tokenizer's."""
    drawn = write_checkpoint(tmp_path, "llama")
    stored = json.loads((WORDS / "tokenizer.json").read_text())["model"]["vocab"]
    rng = np.random.default_rng(0)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        drawn[name] = rng.normal(size=(len(stored), 24)).astype(np.float32)
    tensors = {}
    for name, value in drawn.items():
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        stored = test_gguf_file.neighbours(value, heads) if heads else value
        tensors[test_gguf_file.gguf_name(name)] = stored
    words = functools.partial(test_gguf_tokenizer.describe, words="smollm")
    test_gguf_file.write(tmp_path / "model.gguf", tensors, words=words)
    strange = functools.partial(test_gguf_tokenizer.describe, words="other")
    test_gguf_file.write(tmp_path / "strange.gguf", tensors, words=strange)
    return tmp_path / "model.gguf"


def test_a_gguf_file_becomes_a_folder_with_its_tokenizer(file, tmp_path, capsys):
    out = tmp_path / "made" / "here"
    run(source=file, out=out)
    config, wanted = gguf_file.load(file)
    again, params = huggingface.load(out)
    assert again == config
    jax.tree.map(np.testing.assert_array_equal, params, wanted)
    one, two = gguf_tokenizer.load(file), chat.load(out)
    said = [{"role": "user", "content": "Hi 42 <|im_end|> ünï"}]
    assert one.conversation(said) == two.conversation(said)
    assert one.stop == two.stop
    document = json.loads((out / "config.json").read_text())
    assert (document["bos_token_id"], document["eos_token_id"]) == (0, 1)
    line = capsys.readouterr().out
    assert line.startswith(f"{out}: llama, ") and "float32, weights in 1 file\n" in line
    assert not list(out.parent.glob("*.unfinished"))


def test_a_folder_is_cut_anew_and_keeps_its_settings(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    write_checkpoint(source, "qwen2")
    (source / "generation_config.json").write_text('{"eos_token_id": [5]}')
    before = json.loads((source / "config.json").read_text())
    before["eos_token_id"] = 5
    (source / "config.json").write_text(json.dumps(before))
    out = tmp_path / "out"
    run(source=source, out=out, dtype="bfloat16")
    after = json.loads((out / "config.json").read_text())
    assert before.items() <= after.items() and after["torch_dtype"] == "bfloat16"
    assert (out / "generation_config.json").read_text() == '{"eos_token_id": [5]}'
    stored = load_file(out / huggingface.ONE)
    for name, value in load_file(source / huggingface.ONE).items():
        assert stored[name].dtype == jnp.bfloat16
        np.testing.assert_array_equal(stored[name], value.astype(jnp.bfloat16))
    # What is stored decides where nothing is asked for.
    run(source=out, out=tmp_path / "again")
    for name in (huggingface.ONE, "config.json"):
        assert (tmp_path / "again" / name).read_bytes() == (out / name).read_bytes()


def test_shards_are_no_larger_than_asked_for(tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    drawn = write_checkpoint(source, "llama")
    big = {k: np.zeros((30000, 24), np.float32) for k in drawn if "embed" in k}
    big["lm_head.weight"] = big["model.embed_tokens.weight"] + 1
    save_file(drawn | big, source / huggingface.ONE)
    document = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(document | {"vocab_size": 30000}))
    run_with({"shard_mib": 3}, source=source, out=tmp_path / "out")
    sizes = [p.stat().st_size for p in (tmp_path / "out").glob("*.safetensors")]
    assert len(sizes) == 2 and max(sizes) < 3 * 2**20
    _, wanted = huggingface.load(source)
    _, params = huggingface.load(tmp_path / "out")
    jax.tree.map(np.testing.assert_array_equal, params, wanted)


@pytest.mark.parametrize("dtype", [None, "bfloat16"])
def test_an_adapter_is_folded_in_in_float32(tmp_path, dtype):
    source = tmp_path / "source"
    source.mkdir()
    _, config, variables = adapted(source)
    peft.save(tmp_path / "lora", config, variables, str(source))
    options = {} if dtype is None else {"dtype": dtype}
    out = tmp_path / "out"
    run(source=source, adapter=tmp_path / "lora", out=out, **options)
    assert lora.COLLECTION in variables
    _, wanted = merge(config, variables)
    kind = jnp.dtype(dtype or "float32")
    _, params = huggingface.load(out, param_dtype=kind.name)

    def same(got, wanted):
        assert got.dtype == kind
        np.testing.assert_array_equal(got, wanted.astype(kind))

    jax.tree.map(same, params, wanted)


BAD = {
    "nothing": ({"source": "nowhere.gguf"}, "nowhere.gguf does not exist; give a .gg"),
    "no model": ({"source": "."}, "config.json does not exist"),
    "cut": ({"source": "cut.gguf"}, "no readable GGUF"),
    "words": ({"source": "strange.gguf"}, "word rule 'other' is not one of"),
    "adapter": (
        {"source": "model.gguf", "adapter": "."},
        "adapter_config.json does not",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_leaves_nothing(file, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.json").unlink()
    pathlib.Path("cut.gguf").write_bytes(file.read_bytes()[:1000])
    given, says = BAD[name]
    with pytest.raises(Refused, match=says) as error:
        run(out="out", **given)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("out*"))


def test_nothing_is_overwritten(file, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(source=file, out=tmp_path)
    assert capsys.readouterr().err == (
        f"error: --out={tmp_path} exists already; give a new folder\n"
    )
