"""One key for each job of a run, so that no two jobs ever draw from the same key.

A job folds what it counts (iteration, trajectory, step, token) into its own key.
Folding the count first would let jobs meet: iteration 3 of one in job 3 of another.
"""

from __future__ import annotations

import jax

JOBS = ("policy", "critic", "deal", "tasks", "rollout", "clone", "branches")


def key_of(key: jax.Array, job: str) -> jax.Array:
    """The key of a job, from the base key of the run (or of a cloning update)."""
    return jax.random.fold_in(key, JOBS.index(job))


def of_iteration(key: jax.Array, job: str, iteration: jax.Array) -> jax.Array:
    """The key of a job in one iteration, from the base key of the run."""
    return jax.random.fold_in(key_of(key, job), iteration)
