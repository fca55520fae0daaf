"""Episodes of a tabular MDP, and the tables that estimators of credit read."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from steppo_jax.credit import CreditBatch
from steppo_jax.structs import NO_STEP, Steps, empty_branch_advantage
from steppo_jax.truth.exact import Truth
from steppo_jax.truth.mdp import Mdp


@struct.dataclass
class Rollouts:
    """N episodes, T steps, L places for the tokens of a response. Only this table is
    dense over trajectory × step: it is made of tables that have a step limit anyway.
    """

    state: jax.Array  # [N, T] int32, where the step started
    next_state: jax.Array  # [N, T] int32, where it led; S is the end
    reward: jax.Array  # [N, T] reward of the step
    node: jax.Array  # [N, T, L] int32, node of the response tree before the token
    token: jax.Array  # [N, T, L] int32
    said: jax.Array  # [N, T, L] bool, True at tokens of responses
    live: jax.Array  # [N, T] bool, True at steps that took place
    group: jax.Array  # [N] int32, task instance; the episodes of one start alike

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.said.shape

    def last(self) -> jax.Array:
        """[N, T, L] bool, True at the last token of each response."""
        return self.said & ~jnp.pad(self.said, ((0, 0), (0, 0), (0, 1)))[..., 1:]


@struct.dataclass
class Critic:
    """What a critic says: exact, or wrong on purpose."""

    value: jax.Array  # [T + 1, S + 1] before step t; [T] is used at a cut
    node_value: jax.Array  # [T, S, K] before each token


def critic(truth: Truth, kind: str = "exact") -> Critic:
    """`exact`: the truth given. `zero`: nothing. `wrong`: the truth plus a fixed
    error of up to ±0.3 that differs from place to place, never at the end.

    Raises ValueError for an unknown kind.
    """
    if kind == "exact":
        return Critic(truth.value, truth.node_value)
    if kind == "zero":
        return Critic(np.zeros_like(truth.value), np.zeros_like(truth.node_value))
    if kind != "wrong":
        raise ValueError(f"critic={kind!r} is unknown; known: exact, zero, wrong")
    nodes = truth.node_value + 0.3 * _ripple(truth.node_value.shape)
    value = truth.value.copy()
    value[:-1, :-1] = nodes[..., 0]
    value[-1, :-1] += np.where(
        value[-1, :-1] == 0, 0, 0.3 * _ripple(value[-1].shape)[:-1]
    )
    return Critic(value, nodes)


def _ripple(shape: tuple[int, ...]) -> np.ndarray:
    return np.sin(1.0 + 2.399963 * np.arange(np.prod(shape))).reshape(shape)


def credit_batch(
    rollouts: Rollouts,
    mdp: Mdp,
    critic: Critic,
    *,
    bootstrap: bool | jax.Array,
    branch_advantage: jax.Array | None = None,
) -> CreditBatch:
    """The tables of N episodes: rows n T + t, one sequence for each step.

    `bootstrap` is what the learner does at a limit, whatever the task says: the
    critic's value of the true next state, or 0. `branch_advantage` [N, T] is what
    the actor measured, if it did.
    """
    N, T, L = rollouts.shape
    place = jnp.broadcast_to(jnp.arange(T), (N, T))
    over = rollouts.next_state == mdp.num_states
    cut = rollouts.live & ~over & (place == T - 1)
    value = jnp.asarray(critic.value, rollouts.reward.dtype)
    nodes = jnp.asarray(critic.node_value, rollouts.reward.dtype)
    beyond = jnp.where(cut & bootstrap, value[T, rollouts.next_state], 0)
    row = jnp.arange(N * T).reshape(N, T)
    step_id = jnp.where(rollouts.said, row[..., None], NO_STEP)
    if branch_advantage is None:
        branch_advantage = empty_branch_advantage(N * T)
    steps = Steps(
        reward=rollouts.reward.ravel(),
        traj_id=jnp.repeat(jnp.arange(N), T),
        step_index=place.ravel(),
        group_id=jnp.repeat(rollouts.group, T),
        terminated=(rollouts.live & over).ravel(),
        truncated=cut.ravel(),
        state_key=rollouts.state.ravel().astype(jnp.uint32),
        branch_advantage=branch_advantage.ravel(),
        valid=rollouts.live.ravel(),
    )
    earned = jnp.where(rollouts.last(), rollouts.reward[..., None], 0)
    seen = nodes[place[..., None], rollouts.state[..., None], rollouts.node]
    return CreditBatch(
        steps=steps,
        value=jnp.where(rollouts.live, value[place, rollouts.state], 0).ravel(),
        next_value=beyond.ravel(),
        step_id=step_id.reshape(N * T, L),
        token_value=jnp.where(rollouts.said, seen, 0).reshape(N * T, L),
        token_reward=earned.reshape(N * T, L),
    )
