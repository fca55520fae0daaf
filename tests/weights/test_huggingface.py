"""Checkpoints of every family: logits of `transformers`, round trips, refusals."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from steppo_jax.models import families
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.families import ModelError
from steppo_jax.models.heads import Policy
from steppo_jax.weights import huggingface
from steppo_jax.weights.names import entries
from tests.weights.make_reference import CASES, FOLDER, tokens, weights


def write_checkpoint(folder, case):
    """A checkpoint as `transformers` would write it, with the drawn weights."""
    document = json.loads((FOLDER / f"{case}.json").read_text())
    (folder / "config.json").write_text(json.dumps(document["config"]))
    drawn = weights({k: tuple(v) for k, v in document["shapes"].items()})
    save_file(drawn, folder / huggingface.ONE)
    return drawn


def logits(config, params, token_SL):
    position_SL = jnp.broadcast_to(jnp.arange(token_SL.shape[1]), token_SL.shape)
    whole = jnp.ones(token_SL.shape, jnp.int32)
    return jax.jit(Policy(config).apply)(params, token_SL, position_SL, whole)[0]


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(tmp_path, case):
    write_checkpoint(tmp_path, case)
    ours = logits(*huggingface.load(tmp_path), tokens())
    theirs = np.load(FOLDER / f"{case}.npy")
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())


@pytest.mark.parametrize("case", CASES)
def test_export_import_export_gives_the_same_bytes(tmp_path, case):
    drawn = write_checkpoint(tmp_path, case)
    first, second = tmp_path / "first", tmp_path / "second"
    config, params = huggingface.load(tmp_path)
    huggingface.save(first, config, params, shard_bytes=8000)
    again, reread = huggingface.load(first)
    assert again == config
    huggingface.save(second, again, reread, shard_bytes=8000)
    files = sorted(path.name for path in first.iterdir())
    assert len(files) > 4  # config, index and several shards
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes()
    stored = {}
    for path in first.glob("*.safetensors"):
        assert path.stat().st_size < 8000 + 4000  # header beside the tensors
        stored |= load_file(path)
    assert stored.keys() == drawn.keys()
    for name, value in drawn.items():
        np.testing.assert_array_equal(stored[name], value)


def test_bfloat16_goes_in_and_out_unchanged(tmp_path):
    write_checkpoint(tmp_path, "qwen3_tied")
    kinds = {"dtype": "bfloat16", "param_dtype": "bfloat16"}
    config, params = huggingface.load(tmp_path, **kinds)
    assert {x.dtype for x in jax.tree.leaves(params)} == {jnp.dtype("bfloat16")}
    huggingface.save(tmp_path / "out", config, params)
    _, again = huggingface.load(tmp_path / "out", **kinds)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    theirs = np.load(FOLDER / "qwen3_tied.npy")
    ours = logits(config, params, tokens())
    assert ours.dtype == jnp.float32
    # 8 bits of mantissa: about one per cent of the spread.
    assert np.abs(ours - theirs).mean() < 0.03 * theirs.std()


def over_devices(path, shape):
    """Every axis that eight or two devices divide, the largest first, is cut."""
    del path
    mesh = jax.make_mesh(
        (4, 2), ("fsdp", "tensor"), axis_types=(jax.sharding.AxisType.Auto,) * 2
    )
    spec: list = [None] * len(shape)
    names = [("fsdp", 4), ("tensor", 2)]
    for axis in sorted(range(len(shape)), key=lambda i: -shape[i]):
        if names and shape[axis] % names[0][1] == 0:
            spec[axis] = names.pop(0)[0]
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))


@pytest.mark.parametrize("case", CASES)
def test_every_device_reads_its_own_part(tmp_path, case, monkeypatch):
    """Eight devices: values of an unsharded load, and no read larger than a part."""
    write_checkpoint(tmp_path, case)
    _, wanted = huggingface.load(tmp_path)
    read, plain = [], huggingface._Stored.__getitem__

    def noted(self, index):
        part = plain(self, index)
        read.append((self.where.split(": ")[1], part.size))
        return part

    monkeypatch.setattr(huggingface._Stored, "__getitem__", noted)
    _, params = huggingface.load(tmp_path, over_devices)
    jax.tree.map(np.testing.assert_array_equal, params, wanted)
    cut = 0
    for path, x in jax.tree_util.tree_leaves_with_path(params):
        names = tuple(key.key for key in path)
        assert x.sharding == over_devices(names, x.shape)
        cut += not x.is_fully_replicated
    assert cut > 15
    sizes = dict(load_file(tmp_path / huggingface.ONE))
    # Norms and biases are small and read whole; of the matrices parts only.
    largest = {name: max(n for of, n in read if of == name) for name in sizes}
    matrices = [n for n in sizes if n.endswith(("proj.weight", "head.weight"))]
    assert matrices
    for name in matrices:
        assert largest[name] <= sizes[name].size / 4, name


def test_any_block_of_our_layout_is_read_from_theirs():
    """Heads that are cut inside too: against the whole tensor, cut afterwards."""
    config = DecoderConfig(8, 6, 1, 4, 2, 4, 10, positions="rope", rope_theta=10.0)
    rng = np.random.default_rng(0)
    for entry in entries(config):
        theirs = rng.normal(size=entry.their_shape)
        whole = entry.to_ours(theirs)
        for _ in range(20):
            index = []
            for n in entry.our_shape:
                start = rng.integers(0, n)
                index.append(slice(start, rng.integers(start, n) + 1))
            got = entry.read(theirs, tuple(index))
            np.testing.assert_array_equal(got, whole[tuple(index)])


def test_adapters_are_no_part_of_a_checkpoint(tmp_path):
    write_checkpoint(tmp_path, "llama")
    config, params = huggingface.load(tmp_path)
    config = dataclasses.replace(config, lora_rank=2, lora_alpha=1.0, lora_layers="all")
    with pytest.raises(ModelError, match=r"lora_rank=2: .*merge them first"):
        huggingface.save(tmp_path / "out", config, params)
    assert not (tmp_path / "out").exists()


def edit_config(**changes):
    def edit(folder):
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return edit


def edit_tensors(change):
    def edit(folder):
        tensors = load_file(folder / huggingface.ONE)
        change(tensors)
        save_file(tensors, folder / huggingface.ONE)

    return edit


def write_index(folder):
    index = {"weight_map": {"model.norm.weight": "../secret.safetensors"}}
    (folder / huggingface.INDEX).write_text(json.dumps(index))


NORM = "model.norm.weight"
BROKEN = {
    "family": (edit_config(model_type="gpt2"), "model_type='gpt2' is not one of llama"),
    "activation": (edit_config(hidden_act="gelu"), "hidden_act='gelu'"),
    "window": (edit_config(use_sliding_window=True), "use_sliding_window=True"),
    "rope": (
        edit_config(rope_parameters={"rope_type": "yarn"}),
        "rope_type='yarn': known are default and llama3",
    ),
    "shape": (edit_config(hidden_size=20), r"embed_tokens.* \(61, 24\).* \(61, 20\)"),
    "layers": (edit_config(num_hidden_layers=3), "no tensor model.layers.2"),
    "missing": (edit_tensors(lambda t: t.pop(NORM)), f"no tensor {NORM}"),
    "extra": (
        edit_tensors(lambda t: t.update(extra=np.zeros(2, np.float32))),
        "a tensor extra that this decoder does not",
    ),
    "not json": (lambda f: (f / "config.json").write_text("{"), "cannot be read"),
    "no config": (lambda f: (f / "config.json").unlink(), "does not exist"),
    "cut file": (
        lambda f: (f / huggingface.ONE).write_bytes(
            (f / huggingface.ONE).read_bytes()[:-100]
        ),
        "no safetensors file",
    ),
    "path": (write_index, "only plain file names"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_checkpoint_that_does_not_fit_is_refused(tmp_path, name):
    edit, says = BROKEN[name]
    write_checkpoint(tmp_path, "llama")
    edit(tmp_path)
    with pytest.raises(ModelError, match=says) as error:
        huggingface.load(tmp_path)
    assert "\n" not in str(error.value)


def test_a_decoder_of_no_family_cannot_be_exported(tmp_path):
    config = DecoderConfig(8, 4, 1, 1, 1, 4, 4, positions="learned", max_positions=4)
    with pytest.raises(ModelError, match="positions=learned"):
        families.to_hf(config)
