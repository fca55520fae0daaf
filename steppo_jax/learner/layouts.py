"""How sequences are laid out for the forward passes: the field `learner.layout`.

Everything but the passes themselves (credit, weights, minibatches) is done on the table
as it is. `rows` passes it on as it came. `packed` and `merged` lay the sequences of
each pass into bins (`steppo_jax.packing`): once for the pass before any update, and
once for each minibatch, so that the minibatches are those of `rows`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp

from steppo_jax import masked, packing
from steppo_jax.learner.gradients import Tables
from steppo_jax.packing import Packing
from steppo_jax.parallel import Axis
from steppo_jax.structs import NO_STEP, Steps, Tokens

Pass = Callable[[Tokens, jax.Array], tuple[jax.Array, ...]]


@dataclasses.dataclass(frozen=True)
class Part:
    """The sequences of one minibatch, and the table that they are in."""

    tables: Tables
    order: jax.Array  # [S] their numbers first
    count: jax.Array  # [] how many


def whole(
    width: int | None,
    tokens: Tokens,
    wanted_S: jax.Array,
    run: Pass,
    length_S: jax.Array | None = None,
    columns: int | None = None,
) -> tuple[jax.Array, ...]:
    """What `run(tokens, wanted)` gives for the wanted sequences, [S, columns] each.

    Args:
      width: of the bins (`packing.pack`); None runs on the table as it is.
      run: a forward pass over the wanted sequences [S] of a table.
      length_S: places that are read of each sequence; all in use by default.
      columns: most of them; L by default.
    """
    if width is None:
        return run(tokens, wanted_S)
    length_S = packing.lengths(tokens) if length_S is None else length_S
    L = tokens.token.shape[1]
    packed = packing.pack(jnp.where(wanted_S, length_S, 0), L, width, longest=columns)
    bins = jnp.arange(packed.source.shape[0]) < packed.count
    found = run(packed.tokens(tokens), bins)
    return tuple(packed.back(x)[:, : columns or L] for x in found)


def minibatch(
    width: int | None,
    steps: Steps,
    tables: Tables,
    order_S: jax.Array,
    count: jax.Array,
    most: int,
) -> tuple[Part, Part, dict[str, jax.Array]]:
    """The policy's and the critic's passes over the first `count` of order_S.

    Args:
      most: sequences that a minibatch can hold.

    Returns the two parts, and how many places of the policy's bins there are and are
    used; nothing of it for `rows`.
    """
    if width is None:
        part = Part(tables, order_S[:most], count)
        return part, part, {}
    tokens = tables.tokens
    first_n = order_S[:most]
    dealt_S = jnp.zeros(order_S.shape, bool).at[first_n].set(jnp.arange(most) < count)
    L = tokens.token.shape[1]

    def part_of(length_S: jax.Array, longest: int | None) -> tuple[Part, Packing]:
        packed = packing.pack(
            jnp.where(dealt_S, length_S, 0),
            L,
            width,
            longest=longest,
            sequence_n=first_n,
        )
        order = jnp.arange(packed.source.shape[0], dtype=jnp.int32)
        return Part(_tables(tables, packed), order, packed.count), packed

    policy, packed = part_of(packing.lengths(tokens), None)
    critic = policy
    if not tables.per_token:
        read_S = packing.read_lengths(tokens, steps.valid)
        critic, _ = part_of(read_S, tokens.prompt_columns)
    return policy, critic, {"used": packed.used, "places": packed.places}


def padding(axis: Axis, filled: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Fraction of the places in the bins of all minibatches that hold no token."""
    if not filled:
        return {}
    used, places = (axis.sum(filled[x].sum()) for x in ("used", "places"))
    return {"data/padding_fraction": 1 - masked.divide(used / 1.0, places / 1.0)}


def _tables(t: Tables, packed: Packing) -> Tables:
    """The tables of the sequences in the bins."""

    def take(x_SL):
        return packed.take(x_SL)

    spare = t.tokens.token.shape[1] - t.value_step.shape[1]
    value_step_SL = jnp.pad(t.value_step, ((0, 0), (0, spare)), constant_values=NO_STEP)
    return t.replace(
        tokens=packed.tokens(t.tokens),
        step_id=packed.take(t.step_id, NO_STEP),
        old_log_prob=take(t.old_log_prob),
        ref_log_prob=None if t.ref_log_prob is None else take(t.ref_log_prob),
        advantage=take(t.advantage),
        behaviour=t.behaviour and tuple(map(take, t.behaviour)),
        weights=tuple(map(take, t.weights)),
        critic_weights=tuple(map(take, t.critic_weights)),
        value_step=packed.take(value_step_SL, NO_STEP),
        old_value=take(t.old_value) if t.per_token else t.old_value,
        target=take(t.target) if t.per_token else t.target,
    )
