"""The shop: its pages, what can be done on them, and what a purchase is worth.

search page → results (ten items, five a page) → item page → bought. `back` goes
from an item to its results and from results to the search page. Options are
chosen anew each time an item is opened.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

from steppo_jax.envs.shop import catalogue
from steppo_jax.envs.shop.catalogue import COLOURS, NO_WORD, SIZES, TOP

PAGES = ("start", "results", "item", "bought")
START, RESULTS, ITEM, BOUGHT = range(4)
PER_PAGE = 5
QUERY_LENGTH = 5
SLOTS = tuple(f"i{i}" for i in range(1, PER_PAGE + 1))
CLICKS = (*SLOTS, *COLOURS, *SIZES, "next", "prev", "back", "buy")
SEARCH, CLICK, MALFORMED = range(3)  # kinds of action
OK, NOTHING_HAPPENS, UNRECOGNISED, NO_RESULT = range(4)  # results of an action
NO_COLOUR, NO_SIZE = len(COLOURS), len(SIZES)
_COLOUR, _SIZE = len(SLOTS), len(SLOTS) + len(COLOURS)  # where they start in CLICKS
_NEXT, _PREV, _BACK, _BUY = range(len(CLICKS) - 4, len(CLICKS))

FULL_REWARD, MALFORMED_REWARD = 10.0, -0.1
FULL_SCORE = 0.999  # scores are fractions in float32
GROUP_FACTOR, OTHER_FACTOR = 0.5, 0.1


@struct.dataclass
class Task:
    """What to buy."""

    type: jax.Array  # [] int32, of TYPES
    attributes: jax.Array  # [2] int32, of ATTRIBUTES, in order
    colour: jax.Array  # [] int32, of COLOURS
    size: jax.Array  # [] int32, of SIZES
    limit: jax.Array  # [] int32, of PRICES: the highest that will do


@struct.dataclass
class Action:
    """What a response means; the parts its kind does not use are arbitrary."""

    kind: jax.Array  # [] int32, SEARCH, CLICK or MALFORMED
    click: jax.Array  # [] int32, of CLICKS
    query: jax.Array  # [QUERY_LENGTH] int32, of QUERY_WORDS, then NO_WORD


@struct.dataclass
class State:
    """The whole state of an episode."""

    task: Task
    page: jax.Array  # [] int32, of PAGES
    query: jax.Array  # [QUERY_LENGTH] int32, of the last search
    results: jax.Array  # [TOP] int32, items it found
    results_page: jax.Array  # [] int32, 0 or 1
    item: jax.Array  # [] int32, the item whose page is or was open
    colour: jax.Array  # [] int32, chosen, of COLOURS or NO_COLOUR
    size: jax.Array  # [] int32, chosen, of SIZES or NO_SIZE
    num_steps: jax.Array  # [] int32, steps taken
    last_action: Action
    last_result: jax.Array  # [] int32, OK … NO_RESULT


def initial_state(task: Task) -> State:
    """The state in which an episode of `task` begins."""
    nothing, no_query = jnp.int32(0), jnp.full(QUERY_LENGTH, NO_WORD, jnp.int32)
    return State(
        task=jax.tree.map(lambda x: jnp.asarray(x, jnp.int32), task),
        page=jnp.int32(START),
        query=no_query,
        results=jnp.zeros(TOP, jnp.int32),
        results_page=nothing,
        item=nothing,
        colour=jnp.int32(NO_COLOUR),
        size=jnp.int32(NO_SIZE),
        num_steps=nothing,
        last_action=Action(jnp.int32(MALFORMED), nothing, no_query),
        last_result=jnp.int32(NO_RESULT),
    )


def shown(state: State) -> jax.Array:
    """[PER_PAGE] int32, items of the present page of results."""
    start = state.results_page * PER_PAGE
    return jax.lax.dynamic_slice(state.results, (start,), (PER_PAGE,))


def score(task: Task, item: jax.Array, colour: jax.Array, size: jax.Array) -> jax.Array:
    """[] float32, what buying `item` with these options is worth, 1 at most.

    WebShop's formula: (attributes that match + options that match + price is
    within the limit) / (attributes + options + 1) · type factor. WebShop takes the
    type factor from titles; here it is 1 for the wanted type, GROUP_FACTOR for
    another one of its group, and OTHER_FACTOR else.
    """
    wanted = jnp.asarray(catalogue.HAS_ATTRIBUTE)[item, task.attributes]
    price_is_ok = jnp.asarray(catalogue.PRICE)[item] <= task.limit
    options = (colour == task.colour).astype(jnp.int32) + (size == task.size)
    points = jnp.sum(wanted) + options + price_is_ok
    kind, group = jnp.asarray(catalogue.TYPE)[item], jnp.asarray(catalogue.GROUP)
    other = jnp.where(group[kind] == group[task.type], GROUP_FACTOR, OTHER_FACTOR)
    factor = jnp.where(kind == task.type, 1.0, other)
    return (points / (wanted.shape[0] + 3) * factor).astype(jnp.float32)


def task_score(state: State) -> jax.Array:
    """[] float32, the score of what was bought, 0 if nothing was."""
    worth = score(state.task, state.item, state.colour, state.size)
    return jnp.where(state.page == BOUGHT, worth, 0.0).astype(jnp.float32)


def satisfying(task: Task) -> jax.Array:
    """[NUM_ITEMS] bool, the items that can be bought with a full score."""
    return (
        (task.type == catalogue.TYPE)
        & jnp.all(jnp.asarray(catalogue.HAS_ATTRIBUTE)[:, task.attributes], axis=1)
        & jnp.asarray(catalogue.OFFERS_COLOUR)[:, task.colour]
        & jnp.asarray(catalogue.OFFERS_SIZE)[:, task.size]
        & (task.limit >= catalogue.PRICE)
    )


def apply(state: State, action: Action) -> State:
    """The state after an action.

    What cannot be done on the page changes nothing but the step counter and the
    last action with its result.
    """
    page, click = state.page, action.click
    on_results, on_item = page == RESULTS, page == ITEM
    colour, size = click - _COLOUR, click - _SIZE
    offers_colour = jnp.asarray(catalogue.OFFERS_COLOUR)[state.item]
    offers_size = jnp.asarray(catalogue.OFFERS_SIZE)[state.item]
    is_click = action.kind == CLICK
    searches = (action.kind == SEARCH) & (page == START)
    opens = is_click & on_results & (click < PER_PAGE)
    takes_colour = (
        is_click & on_item & jnp.any(offers_colour & (np.arange(NO_COLOUR) == colour))
    )
    takes_size = (
        is_click & on_item & jnp.any(offers_size & (np.arange(NO_SIZE) == size))
    )
    turns = (is_click & on_results) & (
        ((click == _NEXT) & (state.results_page == 0))
        | ((click == _PREV) & (state.results_page == 1))
    )
    leaves = is_click & (click == _BACK) & (on_results | on_item)
    buys = is_click & (click == _BUY) & on_item
    happens = (searches, opens, leaves, buys)
    next_page = jnp.select(
        happens, [RESULTS, ITEM, jnp.where(on_item, RESULTS, START), BOUGHT], page
    )
    done = jnp.any(jnp.stack([*happens, takes_colour, takes_size, turns]))
    result = jnp.where(done, OK, NOTHING_HAPPENS)
    first_page = jnp.where(searches, 0, state.results_page)
    open_item = shown(state)[jnp.minimum(click, PER_PAGE - 1)]
    after = state.replace(
        page=next_page,
        query=jnp.where(searches, action.query, state.query),
        results=jnp.where(searches, catalogue.search(action.query), state.results),
        results_page=jnp.where(turns, 1 - state.results_page, first_page),
        item=jnp.where(opens, open_item, state.item),
        colour=jnp.where(
            takes_colour, colour, jnp.where(opens, NO_COLOUR, state.colour)
        ),
        size=jnp.where(takes_size, size, jnp.where(opens, NO_SIZE, state.size)),
        num_steps=state.num_steps + 1,
        last_action=action,
        last_result=jnp.where(action.kind == MALFORMED, UNRECOGNISED, result),
    )
    return jax.tree.map(lambda new, old: new.astype(old.dtype), after, state)
