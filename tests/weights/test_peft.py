"""Adapters as `peft` keeps them: round trips, merged exports, refusals."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from steppo_jax.models import lora
from steppo_jax.models.families import ModelError
from steppo_jax.models.heads import Policy
from steppo_jax.models.merging import merge
from steppo_jax.weights import huggingface, peft
from tests.weights.make_reference import CASES, FOLDER, tokens
from tests.weights.test_huggingface import logits, write_checkpoint


def adapted(folder, case="llama", layers="all", rank=3):
    """(base decoder, decoder with adapters, variables) with adapters drawn."""
    write_checkpoint(folder, case)
    base, variables = huggingface.load(folder)
    config = dataclasses.replace(
        base, lora_rank=rank, lora_alpha=6.0, lora_layers=layers
    )
    one = jnp.ones((1, 1), jnp.int32)
    fresh = jax.eval_shape(Policy(config).init, jax.random.key(0), one, one, one)
    rng = np.random.default_rng(4)
    drawn = jax.tree.map(
        lambda x: jnp.asarray(rng.normal(0, 0.2, x.shape), jnp.float32),
        fresh[lora.COLLECTION],
    )
    return base, config, variables | {lora.COLLECTION: drawn}


@pytest.mark.parametrize("layers", lora.LAYERS)
def test_export_import_export_gives_the_same_bytes(tmp_path, layers):
    base, config, variables = adapted(tmp_path, layers=layers)
    first, second = tmp_path / "first", tmp_path / "second"
    peft.save(first, config, variables, "some/base")
    again, adapters = peft.load(first, base)
    assert again == config
    jax.tree.map(np.testing.assert_array_equal, adapters, variables[lora.COLLECTION])
    peft.save(second, again, {lora.COLLECTION: adapters}, "some/base")
    for name in (peft.CONFIG, peft.TENSORS):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_names_and_shapes_are_pefts(tmp_path):
    """Written out: what `peft` 0.21 saves for a llama with these seven targets."""
    _, config, variables = adapted(tmp_path)
    peft.save(tmp_path / "out", config, variables, "some/base")
    stored = load_file(tmp_path / "out" / peft.TENSORS)
    assert len(stored) == 2 * 7 * 2
    stem = "base_model.model.model.layers.1"
    assert stored[f"{stem}.self_attn.k_proj.lora_A.weight"].shape == (3, 24)
    assert stored[f"{stem}.self_attn.k_proj.lora_B.weight"].shape == (12, 3)
    assert stored[f"{stem}.mlp.down_proj.lora_A.weight"].shape == (3, 40)
    assert stored[f"{stem}.mlp.down_proj.lora_B.weight"].shape == (24, 3)
    document = json.loads((tmp_path / "out" / peft.CONFIG).read_text())
    assert (document["r"], document["lora_alpha"]) == (3, 6)
    assert document["peft_type"] == "LORA" and document["task_type"] == "CAUSAL_LM"


def test_a_merged_export_is_a_checkpoint_like_any_other(tmp_path):
    _, config, variables = adapted(tmp_path)
    plain, merged = merge(config, variables)
    huggingface.save(tmp_path / "merged", plain, merged)
    wanted = logits(config, variables, tokens())
    got = logits(*huggingface.load(tmp_path / "merged"), tokens())
    np.testing.assert_allclose(got, wanted, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_peft(tmp_path, case):
    """Of the adapters in reference/, which tests/weights/make_peft.py drew and which
    `peft` saved and applied."""
    write_checkpoint(tmp_path, case)
    base, variables = huggingface.load(tmp_path)
    config, adapters = peft.load(FOLDER / f"peft_{case}", base)
    theirs = np.load(FOLDER / f"peft_{case}" / "logits.npy")
    ours = logits(config, variables | {lora.COLLECTION: adapters}, tokens())
    np.testing.assert_allclose(ours, theirs, atol=1e-4 * np.abs(theirs).max())
    assert np.abs(theirs - np.load(FOLDER / f"{case}.npy")).max() > 0.1


def test_a_layer_that_is_left_out_stays_as_it_is(tmp_path):
    """Query and value only, as many adapters are: zeros that get no gradient."""
    base, config, variables = adapted(tmp_path, layers="attention")
    out = tmp_path / "out"
    peft.save(out, config, variables, "some/base")
    edit(out, target_modules=["q_proj", "v_proj"])
    tensors = load_file(out / peft.TENSORS)
    few = {k: v for k, v in tensors.items() if "q_proj" in k or "v_proj" in k}
    save_file(few, out / peft.TENSORS)
    config, adapters = peft.load(out, base)
    assert config.lora_layers == "attention"
    policy, token = Policy(config), tokens()[:1, :4]
    place = jnp.arange(4)[None]

    @jax.jit
    @jax.grad
    def gradient(adapters):
        here = {"params": variables["params"], lora.COLLECTION: adapters}
        return (policy.apply(here, token, place, place * 0 + 1)[0] ** 2).sum()

    module = jax.device_get(gradient(adapters))["decoder"]["block_0"]["attention"]
    for name in ("key_adapter", "out_adapter"):
        assert not any(x.any() for x in jax.tree.leaves(module[name]))
    assert all(x.any() for x in jax.tree.leaves(module["query_adapter"]))


def edit(folder, **changes):
    path = folder / peft.CONFIG
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(change):
    def apply(folder):
        tensors = load_file(folder / peft.TENSORS)
        change(tensors)
        save_file(tensors, folder / peft.TENSORS)

    return apply


NAME = "base_model.model.model.layers.1.mlp.up_proj.lora_B.weight"
BROKEN = {
    "kind": (lambda f: edit(f, peft_type="IA3"), "peft_type='IA3'; of PEFT .* plain"),
    "rslora": (lambda f: edit(f, use_rslora=True), "use_rslora=True"),
    "dora": (lambda f: edit(f, use_dora=True), "use_dora=True"),
    "ranks": (lambda f: edit(f, rank_pattern={"q_proj": 4}), "rank_pattern="),
    "saved": (lambda f: edit(f, modules_to_save=["lm_head"]), "modules_to_save="),
    "targets": (
        lambda f: edit(f, target_modules=["q_proj", "lm_head"]),
        "target_modules has 'lm_head'; adapters are read for q_proj",
    ),
    "pattern": (
        lambda f: edit(f, target_modules=".*proj"),
        "a list of layers is read",
    ),
    "rank": (lambda f: edit(f, r=0), "r=0 is no rank"),
    "alpha": (lambda f: edit(f, lora_alpha="8"), "lora_alpha='8' is no number"),
    "shape": (lambda f: edit(f, r=4), r"q_proj.* \(3, 24\), .* needs \(4, 24\)"),
    "missing": (edit_tensors(lambda t: t.pop(NAME)), f"no tensor {NAME}"),
    "extra": (
        edit_tensors(lambda t: t.update(extra=np.zeros(2, np.float32))),
        "a tensor extra that belongs to no layer",
    ),
    "no config": (lambda f: (f / peft.CONFIG).unlink(), "does not exist; give the fo"),
    "no file": (lambda f: (f / peft.TENSORS).unlink(), "does not exist"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_adapter_that_does_not_fit_is_refused(tmp_path, name):
    change, says = BROKEN[name]
    base, config, variables = adapted(tmp_path)
    out = tmp_path / "out"
    peft.save(out, config, variables, "some/base")
    change(out)
    with pytest.raises(ModelError, match=says) as error:
        peft.load(out, base)
    assert "\n" not in str(error.value)


def test_a_decoder_without_adapters_has_none_to_save(tmp_path):
    base, _, variables = adapted(tmp_path)
    with pytest.raises(ModelError, match="lora_rank=None"):
        peft.save(tmp_path / "out", base, variables, "some/base")
