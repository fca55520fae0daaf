"""States of the household for tests."""

import jax
import jax.numpy as jnp

from steppo_jax.envs.household import rules


def hidden_variant(state, key):
    """The same to the eye: doors and lamp elsewhere, and places and attributes out of
    sight, are drawn anew. Consumes key."""
    door_key, place_key, attribute_key, lamp_key = jax.random.split(key, 4)
    at_lamp = state.location == rules.LAMP_PLACE
    lamp = jax.random.bernoulli(lamp_key)
    elsewhere = jnp.arange(rules.NUM_RECEPTACLES) != state.location
    doors = jax.random.bernoulli(door_key, 0.5, (rules.NUM_RECEPTACLES,))
    is_open = jnp.where(elsewhere & rules.OPENS, doors, state.is_open)
    out_of_sight = ~rules.visible(state) & ~rules.holding(state)
    # A place that is in sight now is no hiding place: stay where you are instead.
    drawn = jax.random.randint(
        place_key, (rules.NUM_OBJECTS,), 0, rules.NUM_RECEPTACLES
    )
    in_sight = (drawn == state.location) & rules.reachable(state)
    places = jnp.where(out_of_sight & ~in_sight, drawn, state.object_location)
    attributes = jax.random.randint(
        attribute_key, (rules.NUM_OBJECTS,), 0, len(rules.ATTRIBUTES)
    )
    variant = state.replace(
        is_open=is_open,
        lamp_on=jnp.where(at_lamp, state.lamp_on, lamp),
        object_location=places,
        object_attribute=jnp.where(out_of_sight, attributes, state.object_attribute),
    )
    # Not a state that would have ended the episode.
    over = rules.solved(variant)
    return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, variant)
