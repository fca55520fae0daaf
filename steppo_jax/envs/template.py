"""Observations of fixed slots: each kind of fact has its own places.

A small transformer with learned positions finds a fact where it always stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.vocabulary import PAD, Vocabulary


class Template:
    """Slots in their order, as (name, number of words); names are unique."""

    def __init__(self, slots: Iterable[tuple[str, int]]):
        ends = 0
        self.place: dict[str, slice] = {}
        for name, width in slots:
            self.place[name] = slice(ends, ends + width)
            ends += width
        self.length = ends

    def fill(self, value: Mapping[str, jax.Array], ids: Mapping[str, int]) -> jax.Array:
        """[length] int32; a slot without a value holds the word it is named after."""
        parts = [value[n] if n in value else jnp.int32(ids[n]) for n in self.place]
        return jnp.concatenate([jnp.ravel(part) for part in parts]).astype(jnp.int32)

    def without(self, observation: jax.Array, names: Iterable[str]) -> jax.Array:
        """[length]: the observation with nothing (PAD) in the slots `names`."""
        kept = np.ones(self.length, bool)
        for name in names:
            kept[self.place[name]] = False
        return jnp.where(kept, observation, PAD)

    def read(self, observation, words: Vocabulary) -> dict[str, list[str]]:
        """The words in every slot of an observation [length] (host side)."""
        return {
            name: [words.words[int(t)] for t in observation[place]]
            for name, place in self.place.items()
        }
