"""`--what=model` and the parts of a run at tiny sizes: what is counted and said."""

import dataclasses
import json
import sys
import textwrap

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import flagsaver
from rich.console import Console

from configs import household
from steppo_jax import programs
from steppo_jax.benchmarks import compiled, model, parts, peer, products, sizes, tables
from steppo_jax.errors import Refused
from steppo_jax.models.heads import Policy
from tests import entry_points

benchmark = entry_points.load("benchmark")
its_flags = entry_points.with_flags("benchmark")

WORK = model.Work(slots=3, prompt=4, steps=2, rows=2)


@pytest.fixture(scope="module")
def tiny():
    return sizes.load("tiny", "float32")


def test_the_matrices_are_all_weights_that_tokens_meet(tiny):
    config, params = tiny
    found = products.matrices(params)
    c = config
    heads, wide = c.heads * c.head_width, c.kv_heads * c.head_width
    layer = 2 * heads * c.width + 2 * wide * c.width + 3 * c.width * c.mlp_width
    assert found[-1].shape == (c.vocabulary, c.width)
    assert sum(x.size for x in found[:-1]) == c.layers * layer


def test_flops_are_counted_by_hand(tiny):
    """Two layers of four heads of width four: 4·2·4·4 = 128 for each place seen."""
    config, params = tiny
    weights = products.matrices(params)
    body = sum(x.size for x in weights[:-1])
    head = weights[-1].size
    # Decoding sees 5 and 6 places; a row of 4 sees 1 + 2 + 3 + 4.
    decode = 2 * 6 * (body + head) + 128 * 3 * (5 + 6)
    prefill = 2 * 8 * body + 2 * 2 * head + 128 * 2 * 10
    train = 3 * (2 * 8 * (body + head) + 128 * 2 * 10)
    wanted = {"decode": decode, "prefill": prefill, "train": train}
    assert {job: WORK.flops(config, weights, job) for job in wanted} == wanted
    assert [WORK.tokens(job) for job in wanted] == [6, 8, 8]


def test_the_flops_of_a_training_step_are_those_that_xla_counts(tiny):
    """Within the softmax, the optimizer and the like, which only XLA counts."""
    wider = {"width": 64, "head_width": 32, "mlp_width": 128, "vocabulary": 128}
    config = dataclasses.replace(tiny[0], **wider)
    place = jnp.zeros((1, 1), jnp.int32)
    params = Policy(config).init(jax.random.key(0), place, place, place + 1)
    work = model.Work(slots=8, prompt=64, steps=1, rows=8)
    jobs = model.Jobs(config, params, work)
    said = compiled.describe(jobs.programs["train"])
    counted = work.flops(config, products.matrices(params), "train")
    # Attention computes the whole square, not only what the mask leaves.
    each = 4 * config.layers * config.heads * config.head_width
    square = 3 * each * work.rows * work.prompt * (work.prompt - 1) / 2
    assert 0.95 < (counted + square) / said["xla_flops"] <= 1


@pytest.mark.parametrize("trained", [False, True])
def test_the_products_alone_are_computed_whole(tiny, trained):
    weights = products.matrices(tiny[1])
    rows = products.inputs(weights, 100)
    through = products.trained if trained else products.forward(left=True)
    program = jax.jit(through).lower(weights, rows).compile()
    wanted = products.flops(weights, 100, trained)
    assert 1 <= compiled.describe(program)["xla_flops"] / wanted < 1.01


def test_the_jobs_do_what_they_are_named_for(tiny):
    config, params = tiny
    jobs = model.Jobs(config, params, WORK)
    jobs.prefill()
    for _ in range(2):  # again from the prompt alone
        token, _, said = jobs.decode()
        assert said.shape == token.shape == (2, 3) and said.all()
        np.testing.assert_array_equal(jobs._slots.length, [6, 6, 6])
    losses = [float(jobs.train()) for _ in range(2)]
    assert losses[1] < losses[0]


FAKE = """
    import json, sys
    folder = sys.argv[3]  # after -m and the script
    config = json.load(open(folder + "/config.json"))
    print(json.dumps({"torch": "0", "given": sys.argv[4:], **config}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"wall": 100.0, "cpu": len(line)}), flush=True)
"""


@pytest.fixture
def fake(tmp_path):
    """An interpreter whose torch takes 100 seconds for everything."""
    code = tmp_path / "fake.py"
    code.write_text(textwrap.dedent(FAKE))
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {code} "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_the_json_line_of_a_model_stands_beside_the_peer(fake, capsys):
    sizes_ = {"slots": 3, "prompt": 4, "steps": 2, "rows": 2}
    given = {"what": "model", "model": "tiny", "repeats": 3, "peer": fake}
    with flagsaver.flagsaver(**given, **sizes_):
        benchmark.main()
    record = json.loads(capsys.readouterr().out.splitlines()[-1])
    numbers = [f"{name}={value}" for name, value in sizes_.items()]
    assert record["peer"]["given"] == [*numbers, "threads=0"]
    assert record["peer"]["model_type"] == "llama"  # it was given the same weights
    rows = {row["job"]: row for row in record["rows"]}
    assert set(rows) == {"prefill", "decode", "train"}
    for job, row in rows.items():
        assert row["times_peer"] == pytest.approx(100 / row["seconds"])
        assert row["peer_cpu_seconds"] == len(job) + 1
        assert row["of_products"] > 0 and row["xla_flops"] > 0
    assert rows["prefill"]["of_prefill"] == 1
    assert record["programs"] > 0 and record["peak_bytes"] > 2**20
    refused = pytest.raises(Refused, match="--rows=4 is more than --slots=3")
    with flagsaver.flagsaver(what="model", rows=4, slots=3), refused:
        benchmark.main()


def test_what_is_no_model_or_no_peer_is_refused(tmp_path):
    with pytest.raises(Refused, match="the folder of a checkpoint"):
        sizes.load(str(tmp_path / "none"), "float32")
    with pytest.raises(Refused, match="a Python with torch and transformers"):
        peer.Peer("/bin/false", "peer_model", tmp_path)


def test_the_parts_of_a_language_models_run_are_refused():
    """Its rollout is no program: the on-device one would be measured in its place."""
    config = household.get_config("steppo,model=smollm2_135m")
    refused = pytest.raises(Refused, match="measure it with --what=model")
    with flagsaver.flagsaver(what="iteration", config=config), refused:
        benchmark.main()


def test_the_passes_of_a_run_are_counted_by_hand():
    """16 episodes of 4 steps, 2 minibatches; a step critic reads the prompt only."""
    config = household.get_config("steppo,smoke,devices=1")
    found = parts.run(config, 3, ("rollout", "update"))
    p = programs.build(config)
    state = jax.jit(p.learner.init)(jax.random.key(0))
    played = p.collect(state)
    passes = parts._passes(p, played)
    P, R = p.env.observation_length, p.env.response_length
    assert passes["rollout"] == [(("body", 16 * P), 4), (("all", 16), 4 * R)]
    rows = played.tokens.response_mask.any(-1).sum()
    slices = int(-(-rows // 8))
    assert passes["update"] == [
        (("all", 8 * (P + R)), slices),
        (("trained", 8 * (P + R)), slices),
        (("body", 8 * P), slices),
        (("trained body", 8 * P), slices),
    ]
    assert found["tokens"] == (played.tokens.segment > 0).sum()
    for row in found["rows"]:
        assert row["of_products"] > 0 and row["limit"] == 0.6
    weights = products.matrices(state.policy)
    both = sum(x.size for x in weights)
    body = both - weights[-1].size
    wanted = 2 * 16 * 4 * (P * body + R * both)
    assert found["rows"][0]["flops"] == wanted
    table = Console(width=tables.WIDTH, no_color=True)
    with table.capture() as shown:
        table.print(tables.of_parts(found))
    assert "…" not in shown.get() and "rollout" in shown.get()
