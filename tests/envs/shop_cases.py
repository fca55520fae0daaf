"""States of the shop for tests."""

import jax
import jax.numpy as jnp

from steppo_jax.envs.shop import catalogue, rules


def hidden_variant(state, key):
    """The same to the eye: results on no present page, and an item and options of
    no present page, are drawn anew. Consumes key."""
    result_key, item_key, option_key = jax.random.split(key, 3)
    on_page = jnp.arange(catalogue.TOP) // rules.PER_PAGE == state.results_page
    in_sight = on_page & (state.page == rules.RESULTS)
    drawn = jax.random.randint(result_key, (catalogue.TOP,), 0, catalogue.NUM_ITEMS)
    is_open = (state.page == rules.ITEM) | (state.page == rules.BOUGHT)
    item = jax.random.randint(item_key, (), 0, catalogue.NUM_ITEMS)
    colour = jax.random.randint(option_key, (), 0, rules.NO_COLOUR + 1)
    return state.replace(
        results=jnp.where(in_sight, state.results, drawn),
        item=jnp.where(is_open, state.item, item),
        colour=jnp.where(is_open, state.colour, colour),
    )
