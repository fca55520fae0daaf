"""Which minibatch a trajectory belongs to: whole trajectories, a fixed number of
minibatches, the same split for any number of devices.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax import masked
from steppo_jax.structs import Steps, Tokens


def assign(
    key: jax.Array, first: jax.Array, num_trajectories: int, num_minibatches: int
) -> jax.Array:
    """[num_trajectories] int32 minibatch of trajectories first, first+1, …

    Each run of `num_minibatches` neighbours is dealt out by a random permutation,
    one to each minibatch. A device that holds a whole number of runs deals them as
    one device would, and the members of a group are spread over the minibatches.
    """
    if num_trajectories % num_minibatches:
        raise ValueError(
            f"{num_trajectories} trajectories a device do not divide into "
            f"learner.minibatches={num_minibatches}; choose a divisor"
        )
    runs = num_trajectories // num_minibatches
    run_R = first // num_minibatches + jnp.arange(runs)
    key_R = jax.vmap(jax.random.fold_in, (None, 0))(key, run_R)
    dealt_RM = jax.vmap(lambda k: jax.random.permutation(k, num_minibatches))(key_R)
    return dealt_RM.reshape(-1).astype(jnp.int32)


def trajectory_of_sequences(steps: Steps, tokens: Tokens) -> jax.Array:
    """[S] int32 traj_id of the response tokens of each sequence, or -1 without any."""
    traj_SL = masked.take(steps.traj_id, tokens.step_id, fill=-1)
    return traj_SL.max(axis=1)
