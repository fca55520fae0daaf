"""One update on written-out inputs, against recorded numbers.

Nothing here comes from a random generator, so a change of these numbers is a change
of the mathematics (or a bug), never of jax's random bits. If it is meant, run

    python -m tests.learner.test_golden

and put the printed table in place of GOLDEN, saying in the commit what changed.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import layout
from steppo_jax.structs import Steps, empty_branch_advantage
from tests import toy

GOLDEN = {
    "grpo": {
        "advantage_0": 0.999999,
        "advantage_1": 0.999999,
        "advantage_2": -0.999999,
        "advantage_3": -0.999999,
        "data/padding_fraction": 0.472222,
        "data/staleness_max": 0.0,
        "data/staleness_mean": 0.0,
        "data/steps": 8.0,
        "data/tokens": 15.0,
        "policy/advantage_abs": 0.999999,
        "policy/clip_fraction": 0.03125,
        "policy/entropy": 2.06929,
        "policy/grad_norm": 0.644736,
        "policy/kl": 0.00205978,
        "policy/loss": -0.0273335,
        "policy/ratio_max": 1.24237,
        "policy/ratio_mean": 1.00716,
        "policy/sampler_gap_max": 0.373383,
        "policy/sampler_gap_mean": 0.102128,
        "policy/skipped": 0.0,
        "policy/updates": 2.0,
        "policy_moved": 9.35961,
        "train/tokens_per_response": 1.875,
    },
    "ppo": {
        "advantage_0": 0.309757,
        "advantage_1": 0.659521,
        "advantage_2": -0.703805,
        "advantage_3": -1.66221,
        "critic/explained_variance": -0.113454,
        "critic/grad_norm": 0.597863,
        "critic/loss": 0.369498,
        "critic/skipped": 0.0,
        "critic/target_mean": 0.408521,
        "critic/value_mean": 0.164976,
        "data/padding_fraction": 0.472222,
        "data/staleness_max": 0.0,
        "data/staleness_mean": 0.0,
        "data/steps": 8.0,
        "data/tokens": 15.0,
        "policy/advantage_abs": 0.858207,
        "policy/clip_fraction": 0.03125,
        "policy/entropy": 2.06929,
        "policy/grad_norm": 0.552691,
        "policy/kl": 0.00199978,
        "policy/loss": -0.101865,
        "policy/ratio_max": 1.22195,
        "policy/ratio_mean": 1.00868,
        "policy/sampler_gap_max": 0.373383,
        "policy/sampler_gap_mean": 0.102128,
        "policy/skipped": 0.0,
        "policy/updates": 2.0,
        "policy_moved": 9.57687,
        "train/tokens_per_response": 1.875,
    },
    "steppo": {
        "advantage_0": 0.23263,
        "advantage_1": 0.497237,
        "advantage_2": -0.817458,
        "advantage_3": -1.57491,
        "critic/explained_variance": -0.018683,
        "critic/grad_norm": 0.671777,
        "critic/loss": 0.514372,
        "critic/skipped": 0.0,
        "critic/target_mean": 0.531515,
        "critic/value_mean": 0.0847142,
        "data/padding_fraction": 0.472222,
        "data/staleness_max": 0.0,
        "data/staleness_mean": 0.0,
        "data/steps": 8.0,
        "data/tokens": 15.0,
        "policy/advantage_abs": 0.828031,
        "policy/clip_fraction": 0.0,
        "policy/entropy": 2.06929,
        "policy/grad_norm": 0.486585,
        "policy/kl": 0.0018764,
        "policy/loss": -0.0221632,
        "policy/ratio_max": 1.10294,
        "policy/ratio_mean": 1.00019,
        "policy/sampler_gap_max": 0.373383,
        "policy/sampler_gap_mean": 0.102128,
        "policy/skipped": 0.0,
        "policy/updates": 2.0,
        "policy_moved": 9.93484,
        "train/tokens_per_response": 1.875,
    },
}


def tables():
    """Two groups of two trajectories of two steps; responses of one to three tokens."""
    B = 8
    traj = np.repeat(np.arange(4), 2)
    index = np.tile(np.arange(2), 4)
    steps = Steps(
        reward=jnp.array([0.0, 1.0, 0.5, -1.0, 0.0, 0.0, 0.25, 2.0]),
        traj_id=jnp.asarray(traj, jnp.int32),
        step_index=jnp.asarray(index, jnp.int32),
        group_id=jnp.asarray(traj // 2, jnp.int32),
        terminated=jnp.asarray((index == 1) & (traj != 2)),
        truncated=jnp.asarray((index == 1) & (traj == 2)),
        state_key=jnp.arange(B, dtype=jnp.uint32),
        branch_advantage=empty_branch_advantage(B),
        valid=jnp.ones((B,), bool),
    )
    count = np.array([1, 2, 3, 1, 2, 3, 1, 2])
    place = np.arange(3)
    said = place[None] < count[:, None]
    response = np.where(said, 4 + (np.arange(B)[:, None] + place[None]) % 4, 0)
    prompt = np.zeros((B, 6), np.int32)
    for b in range(B):
        prompt[b, : 2 + b % 3] = [1, 4 + b % 3, 7, 7][: 2 + b % 3]
    log_prob = np.where(said, -2.0, 0.0).astype(np.float32)
    tokens = layout.rows(
        *(jnp.asarray(x) for x in (prompt, response.astype(np.int32), said, log_prob)),
        policy_version=jnp.int32(0),
    )
    return steps, tokens


def waves(tree):
    """Parameters that are a smooth function of their place: no random numbers."""
    leaves, structure = jax.tree.flatten(tree)
    made = [
        jnp.asarray(0.5 * np.sin(1.0 + i + 0.7 * np.arange(x.size)), x.dtype)
        for i, x in enumerate(leaves)
    ]
    made = [m.reshape(x.shape) for m, x in zip(made, leaves)]
    return jax.tree.unflatten(structure, made)


def measure(method: str) -> dict[str, float]:
    the = toy.learner(method, minibatches=1, trajectories=4, epochs=2)
    fresh = the.init(jax.random.key(0))
    state = fresh.replace(policy=waves(fresh.policy), critic=waves(fresh.critic))
    steps, tokens = tables()
    after, metrics, seen = jax.jit(lambda *args: the.update(toy.Axis(), *args))(
        state, steps, tokens
    )
    numbers = {name: float(x) for name, x in metrics.items()}
    numbers |= {f"advantage_{i}": float(x) for i, x in enumerate(seen["advantage"][:4])}
    moved = jax.tree.map(lambda a, b: jnp.abs(a - b).sum(), after.policy, state.policy)
    numbers["policy_moved"] = float(sum(jax.tree.leaves(moved)))
    return numbers


@pytest.mark.parametrize("method", toy.GRID)
def test_one_update_gives_the_recorded_numbers(method):
    got = measure(method)
    assert set(got) == set(GOLDEN[method]), "metrics were added or removed"
    for name, expected in GOLDEN[method].items():
        np.testing.assert_allclose(
            got[name],
            expected,
            rtol=2e-3,
            atol=2e-5,
            err_msg=f"{method}: {name} changed; see the docstring of this file",
        )


if __name__ == "__main__":
    import pprint

    pprint.pprint(
        {m: {k: float(f"{v:.6g}") for k, v in measure(m).items()} for m in toy.GRID}
    )
