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


def _over_objects(verb: str) -> np.ndarray:
    """[objects] ids of "verb O"."""
    return np.array([action_id(f"{verb} {name}") for name in rules.OBJECTS])


_GO_TO, _OPEN = _over_receptacles("go to"), _over_receptacles("open")
_TAKE, _PUT = _over_objects("take"), _over_objects("put")
# By attribute: where it is given, and how; the row of "any" is never used.
_PLACE = np.zeros(len(rules.ATTRIBUTES), np.int32)
_MAKE = np.zeros((len(rules.ATTRIBUTES), rules.NUM_OBJECTS), np.int32)
for _verb, _where, _attribute in rules.PROCESSES:
    _PLACE[rules.ATTRIBUTES.index(_attribute)] = rules.RECEPTACLE_NAMES.index(_where)
    _MAKE[rules.ATTRIBUTES.index(_attribute)] = _over_objects(_verb)


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
    goal_object = jnp.arange(rules.NUM_OBJECTS) == task.goal_object
    lacks = (task.goal_attribute > 0) & ~jnp.any(
        goal_object & (state.object_attribute == task.goal_attribute)
    )
    place = jnp.asarray(_PLACE)[task.goal_attribute]
    make = jnp.asarray(_MAKE)[task.goal_attribute, task.goal_object]
    go_to, open_here = jnp.asarray(_GO_TO), jnp.asarray(_OPEN)[at]
    put_down = jnp.asarray(_PUT)[jnp.argmax(held)]
    search = go_to[jnp.where(in_room, 0, (at + 1) % rules.NUM_RECEPTACLES)]
    decisions = (  # the first that applies decides
        (jnp.any(held & goal_object) & lacks & (here == place), make),
        (jnp.any(held & goal_object) & lacks, go_to[place]),
        (
            jnp.any(held & goal_object) & (here != task.goal_receptacle),
            go_to[task.goal_receptacle],
        ),
        (shut, open_here),
        (jnp.any(held) & ~in_room, put_down),  # at the goal, or something else
        (
            jnp.any(rules.visible(state) & goal_object) & ~jnp.any(held),
            jnp.asarray(_TAKE)[task.goal_object],
        ),
    )
    conditions, actions = zip(*decisions)
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

    Go there, open if it opens, take; go and make it clean or hot if asked; go to
    the goal, open if it opens, put. Tasks whose object starts in the goal
    receptacle do not exist.
    """
    opens = jnp.asarray(rules.OPENS).astype(jnp.int32)
    start = task.object_location[task.goal_object]
    prepare = jnp.where(task.goal_attribute > 0, 2, 0)
    return (4 + prepare + opens[start] + opens[task.goal_receptacle]).astype(jnp.int32)
