"""No two jobs, and no two iterations of a job, share a key."""

import itertools

import jax
import numpy as np
import pytest

from steppo_jax import draws


def test_every_job_and_iteration_has_a_key_of_its_own():
    base = jax.random.key(0)
    found = set()
    for job, iteration in itertools.product(draws.JOBS, range(20)):
        key = draws.of_iteration(base, job, iteration)
        found.add(tuple(np.asarray(jax.random.key_data(key))))
    assert len(found) == len(draws.JOBS) * 20


def test_an_unknown_job_is_an_error():
    with pytest.raises(ValueError):
        draws.key_of(jax.random.key(0), "lunch")
