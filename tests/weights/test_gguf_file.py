"""GGUF in: the same numbers as the safetensors of the same model."""

import gguf
import jax
import numpy as np
import pytest

from steppo_jax.models.families import ModelError
from steppo_jax.weights import gguf_file, huggingface
from tests.weights.test_huggingface import write_checkpoint

NAMES = {theirs: ours for ours, theirs in (gguf_file.LAYER | gguf_file.TOP).items()}


def neighbours(value, heads):
    """q or k rows as llama.cpp's converter stores them."""
    out, width = value.shape
    halves = value.reshape(heads, 2, out // heads // 2, width)
    return halves.swapaxes(1, 2).reshape(out, width)


def gguf_name(name):
    stem, kind = name.rsplit(".", 1)
    if stem in NAMES:
        return f"{NAMES[stem]}.{kind}"
    _, _, layer, rest = stem.split(".", 3)
    return f"blk.{layer}.{NAMES[rest]}.{kind}"


def bare_words(writer):
    writer.add_token_list([f"t{i}" for i in range(61)])


def write(path, tensors, architecture="llama", words=bare_words, **extra):
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_embedding_length(24)
    writer.add_block_count(2)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_feed_forward_length(40)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    words(writer)
    for name, value in (tensors | extra).items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def stored(tmp_path):
    """(folder with the safetensors of a llama, its tensors under GGUF's names)."""
    drawn = write_checkpoint(tmp_path, "llama")
    out = {}
    for name, value in drawn.items():
        heads = {"q_proj": 4, "k_proj": 2}.get(name.split(".")[-2])
        out[gguf_name(name)] = neighbours(value, heads) if heads else value
    return tmp_path, out


def test_a_file_gives_the_parameters_of_the_same_safetensors(stored):
    folder, tensors = stored
    write(folder / "model.gguf", tensors)
    config, params = gguf_file.load(folder / "model.gguf")
    wanted_config, wanted = huggingface.load(folder)
    assert config.norm_eps == pytest.approx(wanted_config.norm_eps)
    assert config.rope_theta == wanted_config.rope_theta
    jax.tree.map(np.testing.assert_array_equal, params, wanted)


def test_what_cannot_be_read_is_refused(stored):
    folder, tensors = stored
    path = folder / "model.gguf"
    with pytest.raises(ModelError, match="does not exist"):
        gguf_file.load(path)
    path.write_bytes(b"GGUF" + bytes(7))
    with pytest.raises(ModelError, match="no readable GGUF"):
        gguf_file.load(path)
    write(path, tensors, architecture="qwen2")
    with pytest.raises(ModelError, match="'qwen2' model; of GGUF only llama"):
        gguf_file.load(path)
    write(path, tensors, **{"blk.0.new.weight": np.zeros(2, np.float32)})
    with pytest.raises(ModelError, match=r"unknown tensor blk\.0\.new"):
        gguf_file.load(path)
