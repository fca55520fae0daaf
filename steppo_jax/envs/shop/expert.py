"""A scripted policy for the warm start, and the fewest steps a task needs."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax.envs.shop import catalogue, language, rules
from steppo_jax.envs.shop.rules import CLICKS, PER_PAGE, Action

_FIRST_ATTRIBUTE = len(catalogue.TYPES)
_FIRST_COLOUR = _FIRST_ATTRIBUTE + len(catalogue.ATTRIBUTES)
_FIRST_SIZE = _FIRST_COLOUR + len(catalogue.COLOURS)
_CLICK_COLOUR, _CLICK_SIZE = PER_PAGE, PER_PAGE + len(catalogue.COLOURS)
_NEXT, _BACK, _BUY = (CLICKS.index(word) for word in ("next", "back", "buy"))


def best_query(task: rules.Task) -> jax.Array:
    """[5] int32: type, both attributes, colour and size: all but the price."""
    colour, size = _FIRST_COLOUR + task.colour, _FIRST_SIZE + task.size
    return jnp.stack([task.type, *(_FIRST_ATTRIBUTE + task.attributes), colour, size])


def _looks_right(task: rules.Task, items: jax.Array) -> jax.Array:
    """[items] bool: type, attributes and price are as wanted, as results show."""
    has = jnp.asarray(catalogue.HAS_ATTRIBUTE)[items][:, task.attributes]
    return (
        (jnp.asarray(catalogue.TYPE)[items] == task.type)
        & jnp.all(has, axis=1)
        & (jnp.asarray(catalogue.PRICE)[items] <= task.limit)
    )


def clean_action(state: rules.State) -> Action:
    """The expert's action.

    It looks at nothing that is not in the observation and remembers nothing. Of
    the items that look right, results list those with the wanted options first,
    because the query names them; so the first one that looks right is right.
    """
    task, query = state.task, best_query(state.task)
    right = _looks_right(task, rules.shown(state))
    item_is_right = (
        _looks_right(task, state.item[None])[0]
        & jnp.asarray(catalogue.OFFERS_COLOUR)[state.item, task.colour]
        & jnp.asarray(catalogue.OFFERS_SIZE)[state.item, task.size]
    )
    on_results = state.page == rules.RESULTS
    searched_so = jnp.all(state.query == query)
    decisions = (  # the first that applies decides
        (on_results & ~searched_so, _BACK),
        (on_results & jnp.any(right), jnp.argmax(right)),
        (on_results & (state.results_page == 0), _NEXT),
        (on_results, _BACK),
        (~item_is_right, _BACK),
        (state.colour != task.colour, _CLICK_COLOUR + task.colour),
        (state.size != task.size, _CLICK_SIZE + task.size),
    )
    conditions, clicks = zip(*decisions)
    kind = jnp.where(state.page == rules.START, rules.SEARCH, rules.CLICK)
    return language.canonical(kind, jnp.select(conditions, clicks, _BUY), query)


def stray_action(key: jax.Array) -> Action:
    """A search of one to five words or one of the clicks, equally likely.

    Consumes key.
    """
    kind_key, number_key, word_key = jax.random.split(key, 3)
    which = jax.random.randint(kind_key, (), 0, len(CLICKS) + 1)
    number = jax.random.randint(number_key, (), 1, rules.QUERY_LENGTH + 1)
    words = jax.random.randint(word_key, (rules.QUERY_LENGTH,), 0, catalogue.NO_WORD)
    spoken = jnp.arange(rules.QUERY_LENGTH) < number
    return language.canonical(
        jnp.where(which == len(CLICKS), rules.SEARCH, rules.CLICK),
        which,
        jnp.where(spoken, words, catalogue.NO_WORD),
    )


def noisy_action(state: rules.State, key: jax.Array, noise: float) -> Action:
    """The expert's action; with chance `noise` a stray one. Consumes key."""
    chance_key, stray_key = jax.random.split(key)
    strays = jax.random.uniform(chance_key) < noise
    return jax.tree.map(
        lambda stray, clean: jnp.where(strays, stray, clean),
        stray_action(stray_key),
        clean_action(state),
    )


def golden_steps(task: rules.Task) -> jax.Array:
    """[] int32, fewest steps that solve `task`, all being known: always five.

    Search, open, colour, size, buy: none can be left out. An item's own type and
    attributes as the query show it on the first page, whatever the task is.
    """
    return jnp.full_like(task.type, 5, dtype=jnp.int32)
