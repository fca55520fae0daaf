"""Word-level vocabularies: ids for a fixed list of words.

Every vocabulary begins with the same four special words, so code that knows
nothing about an environment can tell padding and the end of a response.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

PAD, BOS, EOS, SEP = 0, 1, 2, 3
SPECIAL = ("<pad>", "<bos>", "<eos>", ";")


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Words and their ids; the id of a word is its place in `words`."""

    words: tuple[str, ...]

    def __post_init__(self):
        if self.words[: len(SPECIAL)] != SPECIAL:
            raise ValueError(
                f"a vocabulary starts with {SPECIAL}, not {self.words[:4]}"
            )
        if len(set(self.words)) != len(self.words):
            twice = sorted({w for w in self.words if self.words.count(w) > 1})
            raise ValueError(f"words given twice: {twice}")

    @classmethod
    def of(cls, words: Sequence[str]) -> Vocabulary:
        """The special words, then `words` in the given order, repeats dropped."""
        return cls(tuple(dict.fromkeys((*SPECIAL, *words))))

    def __len__(self) -> int:
        return len(self.words)

    @functools.cached_property
    def id(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, text: str, length: int | None = None) -> np.ndarray:
        """int32 ids of the words of `text`, padded to `length`. Unknown words raise."""
        words = text.split()
        unknown = [w for w in words if w not in self.id]
        if unknown:
            raise ValueError(f"not in the vocabulary: {unknown}")
        if length is not None and len(words) > length:
            raise ValueError(f"{len(words)} words do not fit {length} places: {text!r}")
        ids = [self.id[w] for w in words]
        return np.array(ids + [PAD] * ((length or len(ids)) - len(ids)), np.int32)

    def decode(self, tokens: Sequence[int]) -> str:
        """The words of `tokens` without padding."""
        return " ".join(self.words[int(t)] for t in tokens if int(t) != PAD)


def length(token: jax.Array) -> jax.Array:
    """[...] number of tokens before the padding at the end of `token[..., L]`.

    Observations are padded at the end only: PAD occurs nowhere else in them.
    """
    places = jnp.arange(1, token.shape[-1] + 1)
    return jnp.max(jnp.where(token != PAD, places, 0), axis=-1)
