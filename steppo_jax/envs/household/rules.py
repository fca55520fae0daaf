"""The household: what there is, what can be done, and what doing it changes.

Everything that makes this house and no other stands in the tables at the top;
the transition reads the tables. Tables are NumPy, so importing touches no device.

One hand, one object in it. What opens starts closed; what is inside is neither
seen nor reached until it is open. Water makes an object clean, fire hot and the
fridge cold; it keeps the attribute it was given last. There are two objects of
every kind, and an action names the kind: it takes the first one in sight.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

# ---- tables -----------------------------------------------------------------
# (name, does it open and close, can it be a goal and hold objects at the start)
RECEPTACLES = (
    ("cabinet 1", True, True),
    ("cabinet 2", True, True),
    ("drawer 1", True, True),
    ("shelf 1", False, True),
    ("shelf 2", False, True),
    ("desk 1", False, True),
    ("fridge 1", True, True),
    ("sink 1", False, False),
    ("stove 1", False, False),
)
KINDS = ("mug", "plate", "apple", "egg")
ATTRIBUTES = ("any", "clean", "hot", "cold")  # "any" is none, and the goal of none
# (verb, where it is done, the attribute it gives)
PROCESSES = (
    ("clean", "sink 1", "clean"),
    ("heat", "stove 1", "hot"),
    ("cool", "fridge 1", "cold"),
)
VERBS = ("put", "two", "look")  # of a goal: put one, put two, look at one
PUT_ONE, PUT_TWO, LOOK = range(3)

RECEPTACLE_NAMES = tuple(name for name, _, _ in RECEPTACLES)
NUM_RECEPTACLES, NUM_KINDS = len(RECEPTACLES), len(KINDS)
KIND_OF = np.repeat(np.arange(NUM_KINDS, dtype=np.int32), 2)  # by object
NUM_OBJECTS = len(KIND_OF)
OPENS = np.array([opens for _, opens, _ in RECEPTACLES])
STORAGE = np.flatnonzero([storage for _, _, storage in RECEPTACLES]).astype(np.int32)
LAMP_PLACE = RECEPTACLE_NAMES.index("desk 1")  # where the lamp stands
ROOM = NUM_RECEPTACLES  # where the agent starts: at no receptacle
HAND = NUM_RECEPTACLES + 1  # where an object is that the agent holds

GO, OPEN, CLOSE, TAKE, PUT, PROCESS, USE = range(7)  # kinds of action
OK, NOTHING_HAPPENS, UNRECOGNISED, NO_RESULT = range(4)  # results of an action


def _actions() -> list[tuple[str, int, int, int, int]]:
    """Rows (text, kind, what it is done to, place it needs, attribute it gives)."""
    rows = [(f"go to {r}", GO, i, 0, 0) for i, r in enumerate(RECEPTACLE_NAMES)]
    for verb, kind in (("open", OPEN), ("close", CLOSE)):
        rows += [
            (f"{verb} {name}", kind, i, i, 0)
            for i, (name, opens, _) in enumerate(RECEPTACLES)
            if opens
        ]
    for verb, kind in (("take", TAKE), ("put", PUT)):
        rows += [(f"{verb} {k}", kind, i, 0, 0) for i, k in enumerate(KINDS)]
    for verb, place, attribute in PROCESSES:
        at, gives = RECEPTACLE_NAMES.index(place), ATTRIBUTES.index(attribute)
        rows += [(f"{verb} {k}", PROCESS, i, at, gives) for i, k in enumerate(KINDS)]
    return [*rows, ("use lamp", USE, 0, LAMP_PLACE, 0)]


ACTIONS = tuple(text for text, *_ in _actions())
NUM_ACTIONS = len(ACTIONS)
MALFORMED = NO_ACTION = NUM_ACTIONS  # id of "not an action": one row after the real
_TABLE = np.array([row for _, *row in _actions()] + [[GO, 0, 0, 0]], np.int32)
_KIND, _ARGUMENT, _PLACE, _GIVES = _TABLE.T


def action_id(text: str) -> int:
    """Id of an action given as text, e.g. "go to cabinet 1"; KeyError if none."""
    return _ACTION_ID[text]


_ACTION_ID = {text: i for i, text in enumerate(ACTIONS)}


# ---- state ------------------------------------------------------------------
@struct.dataclass
class Task:
    """What is to be done, and where things are."""

    goal_verb: jax.Array  # [] int32, of VERBS
    goal_attribute: jax.Array  # [] int32, of ATTRIBUTES
    goal_kind: jax.Array  # [] int32, of KINDS
    goal_receptacle: jax.Array  # [] int32, of RECEPTACLES; the lamp's where LOOK
    object_location: jax.Array  # [NUM_OBJECTS] int32, of RECEPTACLES


@struct.dataclass
class State:
    """The whole state of an episode, hidden parts too."""

    task: Task
    location: jax.Array  # [] int32, a receptacle or ROOM
    is_open: jax.Array  # [NUM_RECEPTACLES] bool; what cannot close is always open
    lamp_on: jax.Array  # [] bool
    object_location: jax.Array  # [NUM_OBJECTS] int32, a receptacle or HAND
    object_attribute: jax.Array  # [NUM_OBJECTS] int32, of ATTRIBUTES
    num_steps: jax.Array  # [] int32, steps taken
    last_action: jax.Array  # [] int32, of ACTIONS or NO_ACTION
    last_result: jax.Array  # [] int32, OK … NO_RESULT


def initial_state(task: Task) -> State:
    """The state in which an episode of `task` begins."""
    return State(
        task=task,
        location=jnp.int32(ROOM),
        is_open=jnp.asarray(~OPENS),
        lamp_on=jnp.bool_(False),
        object_location=jnp.asarray(task.object_location, jnp.int32),
        object_attribute=jnp.zeros(NUM_OBJECTS, jnp.int32),
        num_steps=jnp.int32(0),
        last_action=jnp.int32(NO_ACTION),
        last_result=jnp.int32(NO_RESULT),
    )


def reachable(state: State) -> jax.Array:
    """[] bool, whether the agent stands at a receptacle that is open."""
    here = jnp.arange(NUM_RECEPTACLES) == state.location
    return jnp.any(here & state.is_open)


def visible(state: State) -> jax.Array:
    """[NUM_OBJECTS] bool, objects in sight (the one in the hand is not counted)."""
    return (state.object_location == state.location) & reachable(state)


def holding(state: State) -> jax.Array:
    """[NUM_OBJECTS] bool, at most one True."""
    return state.object_location == HAND


def wanted(task: Task) -> jax.Array:
    """[NUM_OBJECTS] bool, objects of the goal's kind."""
    return jnp.asarray(KIND_OF) == task.goal_kind


def delivered(state: State) -> jax.Array:
    """[NUM_OBJECTS] bool, objects that lie where and as the goal wants them."""
    task = state.task
    in_place = state.object_location == task.goal_receptacle
    as_asked = (task.goal_attribute == 0) | (
        state.object_attribute == task.goal_attribute
    )
    return wanted(task) & in_place & as_asked & (task.goal_verb != LOOK)


def solved(state: State) -> jax.Array:
    """[] bool: enough delivered, or one held where the lamp shines on it."""
    needed = jnp.where(state.task.goal_verb == PUT_TWO, 2, 1)
    held = jnp.any(wanted(state.task) & holding(state))
    lit = held & state.lamp_on & (state.location == LAMP_PLACE)
    enough = jnp.sum(delivered(state)) >= needed
    return jnp.where(state.task.goal_verb == LOOK, lit, enough)


def apply(state: State, action: jax.Array) -> State:
    """The state after `action` [] (an id of ACTIONS, or MALFORMED).

    What cannot be done changes nothing but the step counter and the last action
    with its result.
    """
    kind, argument = jnp.asarray(_KIND)[action], jnp.asarray(_ARGUMENT)[action]
    place, gives = jnp.asarray(_PLACE)[action], jnp.asarray(_GIVES)[action]
    at_place = state.location == place
    reach = reachable(state)
    named = jnp.asarray(KIND_OF) == argument
    in_sight, held = named & visible(state), named & holding(state)
    first = (jnp.arange(NUM_OBJECTS) == jnp.argmax(in_sight)) & in_sight
    possible = jnp.stack(
        [
            state.location != argument,  # GO
            at_place & ~reach,  # OPEN
            at_place & reach,  # CLOSE
            jnp.any(in_sight) & ~jnp.any(holding(state)),  # TAKE
            jnp.any(held) & reach,  # PUT
            jnp.any(held) & at_place,  # PROCESS
            at_place & ~state.lamp_on,  # USE
        ]
    )
    does = (jnp.arange(possible.shape[0]) == kind) & possible & (action != MALFORMED)
    moved = jnp.where(does[TAKE], HAND, state.location)
    moves = (first & does[TAKE]) | (held & does[PUT])
    door = (jnp.arange(NUM_RECEPTACLES) == argument) & (does[OPEN] | does[CLOSE])
    result = jnp.where(jnp.any(does), OK, NOTHING_HAPPENS)
    return state.replace(
        location=jnp.where(does[GO], argument, state.location),
        is_open=jnp.where(door, does[OPEN], state.is_open),
        lamp_on=state.lamp_on | does[USE],
        object_location=jnp.where(moves, moved, state.object_location),
        object_attribute=jnp.where(held & does[PROCESS], gives, state.object_attribute),
        num_steps=state.num_steps + 1,
        last_action=action.astype(jnp.int32),
        last_result=jnp.where(action == MALFORMED, UNRECOGNISED, result).astype(
            jnp.int32
        ),
    )
