"""Hostile and broken files: each is read, or refused in one line, and nothing else.

A file that is read is read again by whoever uses it; nothing outside the folder that
was given changes.
"""

import dataclasses
import json
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
from flax import traverse_util
from hypothesis import example, given
from hypothesis import strategies as st

from configs import household
from steppo_jax import (
    guards,
    metrics,
    panel_records,
    provenance,
    records,
    run_record,
    settings,
)
from steppo_jax.chat import gguf_tokenizer
from steppo_jax.chat import tokenizer as chat
from steppo_jax.errors import Refused
from steppo_jax.weights import gguf_file, huggingface, peft
from tests.chat.make_reference import FOLDER as CHAT
from tests.chat.test_gguf_tokenizer import write as write_tokenizer
from tests.fuzz import mutated
from tests.fuzz.places import Place, only_refusals
from tests.fuzz.tier import inputs
from tests.weights.test_gguf_file import gguf_name
from tests.weights.test_gguf_file import write as write_gguf
from tests.weights.test_huggingface import write_checkpoint

PLACE = Place(pathlib.Path(tempfile.mkdtemp(prefix="fuzz")))
INSIDE, only_inside, put = PLACE.inside, PLACE.only_inside, PLACE.put


@pytest.fixture(scope="module", autouse=True)
def _gone_afterwards():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "git_commit", lambda: None)  # a process each
        yield
    shutil.rmtree(PLACE.around, ignore_errors=True)


RECORD = {
    "config": household.get_config().to_dict(),
    "environment": {"name": "household", "version": "2"},
    "commit": None,
    "packages": {"jax": "1"},
    "python": "3",
    "devices": ["cpu"],
    "changes": ["config.seed: the run has 0, now 1"],
}
METRICS = {
    "iteration": 0,
    "policy/loss": -0.5,
    "critic/loss": 0.1,
    guards.SKIPS: 0.0,
    "time/update_seconds": 1.0,
}
TASK = {"iteration": 0, "decoding": "sampled", "seed": 0, "task": 0, "success": 1.0}
TASK |= {"return": 1.0, "steps": 3, "golden_steps": 2}


@inputs(150)
@given(mutated.of_either(RECORD))
def test_run_records(data):
    with only_inside():
        (INSIDE / run_record.FILE).write_bytes(data)
        with only_refusals():
            config, record = run_record.load(INSIDE)
            run_record.check_environment(record, "2")
            settings.check(config)
        with (
            only_refusals(),
            run_record.Run(INSIDE, household.get_config(), "2") as run,
        ):
            run.accept()


def lines(*objects) -> bytes:
    return b"".join(json.dumps(x).encode() + b"\n" for x in objects)


def some_lines(example: dict):
    """Three lines, one of them changed; or accidents anywhere in the file."""
    three = [example | {"iteration": i} for i in range(3)]
    one = mutated.of_json(three[1])
    whole = one.map(lambda x: lines(three[0]) + x + b"\n" + lines(three[2]))
    return st.one_of(whole, mutated.of_bytes(lines(*three)))


@inputs(150)
@given(some_lines(METRICS))
def test_metrics(data):
    with only_inside():
        path = INSIDE / metrics.FILE
        path.write_bytes(data)
        off = guards.GuardSettings(3, None, None, None, 3.0)
        with only_refusals():
            guards.Guards(off, INSIDE, 2)
        with only_refusals(), records.Records(path) as file:
            file.truncate(2)


@inputs(150)
@given(some_lines(TASK))
def test_panels(data):
    with only_inside():
        folder = INSIDE / panel_records.FOLDER
        folder.mkdir()
        (folder / "seen.jsonl").write_bytes(data)
        with only_refusals():
            panel_records.read(INSIDE)
        with only_refusals():
            panel_records.truncate(INSIDE, 1)


def checkpoint() -> dict[str, bytes]:
    """File → content of a small llama's folder."""
    with tempfile.TemporaryDirectory() as name:
        write_checkpoint(pathlib.Path(name), "llama")
        return {p.name: p.read_bytes() for p in pathlib.Path(name).iterdir()}


MODEL = checkpoint()
MODEL_CONFIG = json.loads(MODEL["config.json"])
HEADER = 8 + int.from_bytes(MODEL[huggingface.ONE][:8], "little")


@inputs(150)
@given(mutated.of_either(MODEL_CONFIG))
def test_model_configurations(data):
    with only_inside():
        put(MODEL | {"config.json": data})
        with only_refusals():
            huggingface.load(INSIDE)


@inputs(150)
@given(mutated.of_bytes(MODEL[huggingface.ONE][:HEADER]))
def test_safetensors_headers(header):
    with only_inside():
        put(MODEL | {huggingface.ONE: header + MODEL[huggingface.ONE][HEADER:]})
        with only_refusals():
            huggingface.load(INSIDE)


NAMES = ("../outside", "/etc/hostname", "..", "", huggingface.ONE, "a/b", "\0")
INDEX = {"weight_map": {"model.norm.weight": "x", "lm_head.weight": huggingface.ONE}}


@inputs(60)
@given(st.one_of(st.sampled_from(NAMES), st.text(max_size=9)), mutated.of_json(INDEX))
def test_shard_indices_stay_in_their_folder(name, other):
    for data in (json.dumps({"weight_map": {"a": name}}).encode(), other):
        with only_inside():
            put(MODEL | {huggingface.INDEX: data})
            with only_refusals():
                huggingface.load(INSIDE)


def adapter() -> dict[str, bytes]:
    """File → content of adapters of rank 2 for every layer of that llama."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, data in MODEL.items():
            (folder / file).write_bytes(data)
        base, _ = huggingface.load(folder)
        ranked = dataclasses.replace(
            base, lora_rank=2, lora_alpha=4.0, lora_layers="all"
        )
        flat = {}
        for entry in peft._adapted(ranked):
            shapes = peft._shapes(entry, 2)
            for path, shape in zip(peft._factors(entry).values(), shapes):
                flat[path] = np.ones(shape, np.float32)
        out = folder / "adapter"
        nested = traverse_util.unflatten_dict(flat)
        peft.save(out, ranked, {peft.COLLECTION: nested}, "base")
        return {p.name: p.read_bytes() for p in out.iterdir()} | {"base": base}


ADAPTER = adapter()
BASE = ADAPTER.pop("base")
ADAPTER_CONFIG = json.loads(ADAPTER[peft.CONFIG])
ADAPTER_HEADER = 8 + int.from_bytes(ADAPTER[peft.TENSORS][:8], "little")


@inputs(100)
@given(
    st.one_of(
        st.tuples(st.just(peft.CONFIG), mutated.of_either(ADAPTER_CONFIG)),
        st.tuples(
            st.just(peft.TENSORS),
            mutated.of_bytes(ADAPTER[peft.TENSORS][:ADAPTER_HEADER]).map(
                lambda x: x + ADAPTER[peft.TENSORS][ADAPTER_HEADER:]
            ),
        ),
    )
)
@example((peft.CONFIG, json.dumps(ADAPTER_CONFIG | {"r": 10**30}).encode()))
@example((peft.CONFIG, json.dumps(ADAPTER_CONFIG | {"lora_alpha": 10**400}).encode()))
def test_adapters(changed):
    name, data = changed
    with only_inside():
        put(ADAPTER | {name: data})
        with only_refusals():
            peft.load(INSIDE, BASE)


def gguf_bytes(write, *args) -> bytes:
    with tempfile.TemporaryDirectory() as name:
        path = pathlib.Path(name) / "model.gguf"
        write(path, *args)
        return path.read_bytes()


def gguf_model() -> bytes:
    with tempfile.TemporaryDirectory() as name:
        drawn = write_checkpoint(pathlib.Path(name), "llama")
    return gguf_bytes(write_gguf, {gguf_name(k): v for k, v in drawn.items()})


GGUF, GGUF_WORDS = gguf_model(), gguf_bytes(write_tokenizer, "gpt-2")
GGUF_HEADER = 4096  # more than its metadata and tensor list


@inputs(150)
@given(mutated.of_bytes(GGUF[:GGUF_HEADER]))
def test_gguf_models(header):
    with only_inside():
        put({"model.gguf": header + GGUF[GGUF_HEADER:]})
        with only_refusals():
            gguf_file.load(INSIDE / "model.gguf")


@inputs(80)
@given(mutated.of_bytes(GGUF_WORDS))
def test_gguf_tokenizers(data):
    with only_inside():
        put({"model.gguf": data})
        with only_refusals():
            gguf_tokenizer.load(INSIDE / "model.gguf")


WORDS = {
    name: (CHAT / name).read_bytes()
    for name in ("tokenizer.json", "tokenizer_config.json")
}


@inputs(80)
@given(st.sampled_from(list(WORDS)), st.data())
def test_tokenizers(name, data):
    document = json.loads(WORDS[name])
    with only_inside():
        put(WORDS | {name: data.draw(mutated.of_either(document))})
        with only_refusals():
            chat.load(INSIDE)


@pytest.mark.parametrize("depth", [10_000])
def test_deep_nesting_is_refused(depth):
    deep = b"[" * depth
    with only_inside():
        put({"config.json": deep, "metrics.jsonl": deep + b"\n{}\n"})
        with pytest.raises(Refused):
            run_record.load(INSIDE)
        with pytest.raises(Refused):
            huggingface.load(INSIDE)
        with pytest.raises(Refused):
            metrics.read(INSIDE)


def test_whole_files_are_read():
    """Or everything above would be refused for another reason."""
    with only_inside():
        put(MODEL | {"model.gguf": GGUF} | WORDS)
        config, params = huggingface.load(INSIDE)
        again, same = gguf_file.load(INSIDE / "model.gguf")
        assert config.width == again.width
        np.testing.assert_array_equal(
            params["params"]["head"]["kernel"], same["params"]["head"]["kernel"]
        )
        chat.load(INSIDE)
        put({"words.gguf": GGUF_WORDS, run_record.FILE: json.dumps(RECORD).encode()})
        gguf_tokenizer.load(INSIDE / "words.gguf")
        put(ADAPTER)
        assert peft.load(INSIDE, BASE)[0].lora_rank == 2
        settings.check(run_record.load(INSIDE)[0])
        put({metrics.FILE: lines(METRICS)})
        assert len(metrics.read(INSIDE)) == 1


def test_adapters_that_are_no_finite_floats_or_too_large_are_refused():
    with only_inside():
        put(ADAPTER | {peft.TENSORS: ADAPTER[peft.TENSORS][:-4] + b"\0\0\xc0\x7f"})
        with pytest.raises(Refused, match="not finite"):
            peft.load(INSIDE, BASE)
        header = ADAPTER[peft.TENSORS].replace(b'"F32"', b'"I32"')
        put(ADAPTER | {peft.TENSORS: header})
        with pytest.raises(Refused, match="int32, not real numbers"):
            peft.load(INSIDE, BASE)
        put(ADAPTER | {peft.CONFIG: json.dumps(ADAPTER_CONFIG | {"r": 10**6}).encode()})
        with pytest.raises(Refused, match="channels of this base model"):
            peft.load(INSIDE, BASE)


def test_a_checkpoint_with_numbers_that_are_not_finite_is_refused():
    """The last bytes of the file are a tensor's."""
    with only_inside():
        put(MODEL | {huggingface.ONE: MODEL[huggingface.ONE][:-4] + b"\0\0\xc0\x7f"})
        with pytest.raises(Refused, match="not finite"):
            huggingface.load(INSIDE)
