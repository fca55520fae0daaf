"""What the policy sees: a template of fixed slots, and the English of it.

Each kind of fact has its own places, so a small transformer with learned
positions finds it there; a slot without anything to say holds ".". The template
has everything in sight that bears on the future, and nothing that is hidden.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs import hashing
from steppo_jax.envs.household import rules
from steppo_jax.envs.household.language import (
    ACTION_LENGTH,
    ACTION_TOKENS,
    ID,
    NO_WORD,
    RESULTS,
    step_word,
)
from steppo_jax.envs.template import Template
from steppo_jax.vocabulary import EOS, PAD, Vocabulary

# (slot, number of words); a slot named like a word is that word
TEMPLATE = Template(
    (
        ("<bos>", 1),
        ("goal", 1),
        ("goal verb", 1),
        ("goal attribute", 1),
        ("goal kind", 1),
        ("in", 1),
        ("goal receptacle", 2),
        ("step", 1),
        ("steps taken", 1),
        ("at", 1),
        ("location", 2),
        ("door", 1),  # open or closed, off or on (the lamp), or "." where neither is
        ("hold", 1),
        ("held kind", 1),
        ("held attribute", 1),
        ("see", 1),
        ("visible", 2 * rules.NUM_OBJECTS),  # attribute and kind, a place each
        ("last", 1),
        ("last action", ACTION_LENGTH - 1),
        ("last result", 1),
        ("act", 1),
    )
)
LENGTH = TEMPLATE.length
# Two observations that differ in these slots only show the same situation.
_NOT_SITUATION = ("steps taken", "last action", "last result")


def _ids(texts) -> np.ndarray:
    """[len(texts), words of a text] int32"""
    return np.array([[ID[w] for w in text.split()] for text in texts], np.int32)


_NONE = ID[NO_WORD]
_PLACES = _ids([*rules.RECEPTACLE_NAMES, f"room {NO_WORD}"])
_VERBS = _ids(rules.VERBS)[:, 0]
_KINDS = _ids(rules.KINDS)[:, 0]
_OBJECTS = _KINDS[rules.KIND_OF]
_GOAL_ATTRIBUTES = _ids(rules.ATTRIBUTES)[:, 0]
_ATTRIBUTES = _ids([NO_WORD, *rules.ATTRIBUTES[1:]])[:, 0]  # no attribute: no word
_DOORS = _ids(["closed", "open", "off", "on", NO_WORD])[:, 0]
_RESULTS = _ids(RESULTS)[:, 0]
# The words of an action without <eos>; none for "not an action".
_SPOKEN = np.where(np.isin(ACTION_TOKENS, (EOS, PAD)), _NONE, ACTION_TOKENS)[:, :-1]
_LAST = np.concatenate([_SPOKEN, np.full_like(_SPOKEN[:1], _NONE)])


def observe(state: rules.State, max_steps: int) -> jax.Array:
    """[LENGTH] int32, the observation of a state."""
    task, held = state.task, rules.holding(state)
    attribute = jnp.asarray(_ATTRIBUTES)[state.object_attribute]
    opens = jnp.asarray(np.append(rules.OPENS, False))[state.location]
    door = jnp.where(opens, rules.reachable(state).astype(jnp.int32), 4)
    at_lamp = state.location == rules.LAMP_PLACE
    door = jnp.where(at_lamp, 2 + state.lamp_on.astype(jnp.int32), door)
    in_sight = rules.visible(state)
    see = jnp.stack([attribute, jnp.asarray(_OBJECTS)], axis=1)
    value = {
        "goal attribute": jnp.asarray(_GOAL_ATTRIBUTES)[task.goal_attribute],
        "goal verb": jnp.asarray(_VERBS)[task.goal_verb],
        "goal kind": jnp.asarray(_KINDS)[task.goal_kind],
        "goal receptacle": jnp.asarray(_PLACES)[task.goal_receptacle],
        "steps taken": ID[step_word(0)] + jnp.minimum(state.num_steps, max_steps),
        "location": jnp.asarray(_PLACES)[state.location],
        "door": jnp.asarray(_DOORS)[door],
        # max: "." has the smallest id of the words that can stand here
        "held kind": jnp.max(jnp.where(held, jnp.asarray(_OBJECTS), _NONE)),
        "held attribute": jnp.max(jnp.where(held, attribute, _NONE)),
        "visible": jnp.where(in_sight[:, None], see, _NONE),
        "last action": jnp.asarray(_LAST)[state.last_action],
        "last result": jnp.asarray(_RESULTS)[state.last_result],
    }
    return TEMPLATE.fill(value, ID)


def state_key(observation: jax.Array) -> jax.Array:
    """[] uint32, hash of the situation: not of when it was reached, nor by what."""
    return hashing.fold(TEMPLATE.without(observation, _NOT_SITUATION))


def describe(observation, words: Vocabulary) -> str:
    """English of an observation [LENGTH], word for word what the tokens say."""
    seen = TEMPLATE.read(observation, words)

    def said(*names: str) -> str:
        return " ".join(w for name in names for w in seen[name] if w != NO_WORD)

    def a(thing: str) -> str:
        return f"{'an' if thing[0] in 'aeiou' else 'a'} {thing}"

    wanted = said("goal attribute", "goal kind").removeprefix("any ")
    goal = {
        "put": f"put {a(wanted)} in {said('goal receptacle')}",
        "two": f"put two {wanted}s in {said('goal receptacle')}",
        "look": f"look at {a(wanted)} under the lamp of {said('goal receptacle')}",
    }[said("goal verb")]
    where, sight = said("location"), said("door")
    door = f", which is {sight}" if sight in ("open", "closed") else ""
    door = f", where the lamp is {sight}" if sight in ("on", "off") else door
    pairs = np.reshape(seen["visible"], (-1, 2))
    things = [" ".join(w for w in pair if w != NO_WORD) for pair in pairs]
    things = [a(thing) for thing in things if thing]
    held = said("held attribute", "held kind")
    lines = [
        f"Your task: {goal}.",
        f"Steps taken: {said('steps taken')[1:]}.",
        "You are in the middle of the room."
        if where == "room"
        else f"You are at {where}{door}.",
        f"You see {', '.join(things) or 'nothing'}.",
        f"You hold {a(held) if held else 'nothing'}.",
    ]
    last = {
        "ok": f"Your last action was: {said('last action')}.",
        "nothing": f"Your last action was: {said('last action')}. Nothing happens.",
        "unrecognised": "Your last response was not recognised as an action.",
    }
    return "\n".join(lines + [last[r] for r in seen["last result"] if r in last])


def render(state: rules.State) -> str:
    """The whole state, a line per receptacle: for people only."""
    things: dict[int, list[str]] = {}
    for i, kind in enumerate(rules.KIND_OF):
        attribute = rules.ATTRIBUTES[int(state.object_attribute[i])]
        full = f"{attribute} {rules.KINDS[kind]}".removeprefix("any ")
        things.setdefault(int(state.object_location[i]), []).append(full)
    task, at = state.task, int(state.location)
    goal = (
        rules.VERBS[int(task.goal_verb)],
        rules.ATTRIBUTES[int(task.goal_attribute)],
        rules.KINDS[int(task.goal_kind)],
        rules.RECEPTACLE_NAMES[int(task.goal_receptacle)],
    )
    lines = [
        f"goal: {' '.join(goal)} | steps taken: {int(state.num_steps)}"
        f" | lamp: {'on' if state.lamp_on else 'off'}",
        f"hand: {', '.join(things.get(rules.HAND, ['nothing']))}"
        + (" | in the middle of the room" if at == rules.ROOM else ""),
    ]
    for i, (name, opens, _) in enumerate(rules.RECEPTACLES):
        door = ("open" if state.is_open[i] else "closed") if opens else ""
        inside = ", ".join(things.get(i, []))
        lines.append(f"{'>' if i == at else ' '} {name:<9} {door:<6} {inside}".rstrip())
    return "\n".join(lines)
