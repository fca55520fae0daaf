"""A scripted policy for the warm start, and the fewest steps a task needs."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.household import rules
from steppo_jax.envs.household.rules import action_id


def _over_receptacles(verb: str) -> np.ndarray:
    """[receptacles] ids of "verb X"; where X does not open, of something harmless."""
    texts = [f"{verb} {name}" for name in rules.RECEPTACLE_NAMES]
    return np.array([action_id(t) if t in rules.ACTIONS else 0 for t in texts])


def _over_kinds(verb: str) -> np.ndarray:
    """[kinds] ids of "verb K"."""
    return np.array([action_id(f"{verb} {name}") for name in rules.KINDS])


_GO_TO, _OPEN = _over_receptacles("go to"), _over_receptacles("open")
_TAKE, _PUT = _over_kinds("take"), _over_kinds("put")
_USE_LAMP = action_id("use lamp")
# By attribute: where it is given, and how; the row of "any" is never used.
_PLACE = np.zeros(len(rules.ATTRIBUTES), np.int32)
_MAKE = np.zeros((len(rules.ATTRIBUTES), rules.NUM_KINDS), np.int32)
for _verb, _where, _attribute in rules.PROCESSES:
    _PLACE[rules.ATTRIBUTES.index(_attribute)] = rules.RECEPTACLE_NAMES.index(_where)
    _MAKE[rules.ATTRIBUTES.index(_attribute)] = _over_kinds(_verb)


def _next_place(state: rules.State) -> jax.Array:
    """[] int32, the place to search after this one: the next, but for the goal's."""
    task, number = state.task, rules.NUM_RECEPTACLES
    following = jnp.where(
        state.location == rules.ROOM,
        jnp.arange(number),
        (state.location + 1 + jnp.arange(number)) % number,
    )
    # Nothing that is wanted starts where it belongs; the lamp is another matter.
    skipped = (following == task.goal_receptacle) & (task.goal_verb != rules.LOOK)
    return following[jnp.argmin(skipped)]


def clean_action(state: rules.State) -> jax.Array:
    """[] int32, the expert's action.

    It looks at nothing that is not in the observation and remembers nothing, so a
    policy that sees one observation at a time can imitate it: it searches places
    in a fixed order, and doors it left open tell it where it has been.
    """
    task, here = state.task, state.location
    held, reach = rules.holding(state), rules.reachable(state)
    in_room = here == rules.ROOM
    at = jnp.where(in_room, 0, here)  # an index that is a receptacle in any case
    shut = ~in_room & ~reach
    looks = task.goal_verb == rules.LOOK
    has = held & rules.wanted(task)
    carries = jnp.any(has)
    lacks = (task.goal_attribute > 0) & ~jnp.any(
        has & (state.object_attribute == task.goal_attribute)
    )
    missing = rules.wanted(task) & ~rules.delivered(state)
    place = jnp.asarray(_PLACE)[task.goal_attribute]
    make = jnp.asarray(_MAKE)[task.goal_attribute, task.goal_kind]
    go_to, open_here = jnp.asarray(_GO_TO), jnp.asarray(_OPEN)[at]
    put_down = jnp.asarray(_PUT)[jnp.asarray(rules.KIND_OF)[jnp.argmax(held)]]
    decisions = (  # the first that applies decides
        (carries & lacks & (here == place), make),
        (carries & lacks, go_to[place]),
        (carries & (here != task.goal_receptacle), go_to[task.goal_receptacle]),
        (carries & looks, jnp.asarray(_USE_LAMP)),
        (shut, open_here),
        (jnp.any(held) & ~in_room, put_down),  # at the goal, or something else
        (
            jnp.any(rules.visible(state) & missing) & ~jnp.any(held),
            jnp.asarray(_TAKE)[task.goal_kind],
        ),
    )
    conditions, actions = zip(*decisions)
    search = go_to[_next_place(state)]
    return jnp.select(conditions, actions, default=search).astype(jnp.int32)


def noisy_action(state: rules.State, key: jax.Array, noise: float) -> jax.Array:
    """[] int32, the expert's action; with chance `noise` any of ACTIONS instead.

    Consumes key.
    """
    chance_key, action_key = jax.random.split(key)
    stray = jax.random.randint(action_key, (), 0, rules.NUM_ACTIONS)
    return jnp.where(
        jax.random.uniform(chance_key) < noise, stray, clean_action(state)
    ).astype(jnp.int32)


def golden_steps(task: rules.Task) -> jax.Array:
    """[] int32, fewest steps that solve `task` from its start, all being known.

    Go there, open if it opens, take; go and make it clean, hot or cold if asked; go
    to the goal, open if it opens, put. No going to make it where it already is, nor
    to the goal where it was made. Twice where two are asked for, but no door twice;
    for a look, use the lamp in place of put. Nothing that is wanted starts in the
    goal receptacle, but for a look.
    """
    opens = jnp.asarray(rules.OPENS).astype(jnp.int32)
    goal, far = task.goal_receptacle, jnp.int32(99)
    start = task.object_location  # [objects]
    place = jnp.asarray(_PLACE)[task.goal_attribute]
    prepare = jnp.where((start == place) | (goal == place), 1, 2)
    prepare = jnp.where(task.goal_attribute > 0, prepare, 0)
    go = jnp.where(start == goal, 0, 1)
    each = 3 + opens[start] + go + prepare + opens[goal]
    one = jnp.min(jnp.where(rules.wanted(task), each, far))
    same = jnp.max(jnp.where(rules.wanted(task), start, -1)) == jnp.min(
        jnp.where(rules.wanted(task), start, far)
    )
    doors = jnp.sum(jnp.where(rules.wanted(task), opens[start], 0))
    doors = jnp.where(same, doors // 2, doors)
    two = 8 + doors + opens[goal]
    return jnp.where(task.goal_verb == rules.PUT_TWO, two, one).astype(jnp.int32)
