"""What the shop sells: fixed tables made from counters, and the search over them.

Tables are NumPy and come from integer hashes, so the catalogue is the same for
everyone and importing touches no device.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.hashing import mix

NUM_ITEMS = 1024
# Types that stand in one row are of one group: buying one for another costs less.
GROUPS = (
    ("lamp", "candle", "mirror", "clock"),
    ("chair", "table", "shelf", "sofa"),
    ("shirt", "jacket", "scarf", "hat"),
    ("kettle", "pan", "bowl", "knife"),
    ("speaker", "camera", "charger", "keyboard"),
)
TYPES = tuple(name for group in GROUPS for name in group)
ATTRIBUTES = (
    *("wooden", "metal", "cotton", "leather", "glass", "plastic"),
    *("soft", "light", "sturdy", "quiet", "bright", "warm"),
    *("modern", "classic", "plain", "striped", "round", "square"),
    *("folding", "portable", "washable", "handmade", "recycled", "waterproof"),
)
COLOURS = ("red", "blue", "green", "black", "white", "grey")
SIZES = ("small", "medium", "large", "huge")
PRICES = tuple(f"p{i}" for i in range(1, 21))
QUERY_WORDS = (*TYPES, *ATTRIBUTES, *COLOURS, *SIZES)
NO_WORD = len(QUERY_WORDS)  # id of "no word": one after the real ones
ATTRIBUTES_PER_ITEM, COLOURS_PER_ITEM, SIZES_PER_ITEM = 3, 3, 2
TOP = 10  # results of a search


def _hashes(table: int, width: int) -> np.ndarray:
    """[NUM_ITEMS, width] uint32; tables use disjoint runs of a counter."""
    counter = np.arange(NUM_ITEMS * width, dtype=np.uint32)
    return mix(np.uint32((200 + table) << 20) + counter).reshape(NUM_ITEMS, width)


def _some(table: int, width: int, number: int) -> np.ndarray:
    """[NUM_ITEMS, width] bool, `number` of a row True."""
    place = np.argsort(np.argsort(_hashes(table, width), axis=1), axis=1)
    return place < number


# Every type has equally many items, give or take one.
TYPE = (np.arange(NUM_ITEMS) % len(TYPES)).astype(np.int32)
GROUP = np.repeat(np.arange(len(GROUPS)), [len(g) for g in GROUPS]).astype(np.int32)
HAS_ATTRIBUTE = _some(0, len(ATTRIBUTES), ATTRIBUTES_PER_ITEM)
OFFERS_COLOUR = _some(1, len(COLOURS), COLOURS_PER_ITEM)
OFFERS_SIZE = _some(2, len(SIZES), SIZES_PER_ITEM)
PRICE = (_hashes(3, 1)[:, 0] % len(PRICES)).astype(np.int32)
# Of items that match equally well, those with the higher number come first.
PRIORITY = np.argsort(np.argsort(_hashes(4, 1)[:, 0])).astype(np.int32)


def _listed(has: np.ndarray) -> np.ndarray:
    """[NUM_ITEMS, n] int32, the places that are True, in order."""
    return np.nonzero(has)[1].reshape(NUM_ITEMS, -1).astype(np.int32)


ITEM_ATTRIBUTES = _listed(HAS_ATTRIBUTE)
ITEM_COLOURS = _listed(OFFERS_COLOUR)
ITEM_SIZES = _listed(OFFERS_SIZE)
_IS_TYPE = TYPE[:, None] == np.arange(len(TYPES))
_NO_ITEM = np.zeros((NUM_ITEMS, 1), bool)
# [words and "no word", items] whether a word stands on the page of an item
MENTIONS = np.concatenate(
    [_IS_TYPE, HAS_ATTRIBUTE, OFFERS_COLOUR, OFFERS_SIZE, _NO_ITEM], axis=1
).T.astype(np.int32)


def search(query: jax.Array) -> jax.Array:
    """[TOP] int32, items by the number of query words they match, best first.

    Args:
      query: [words] int32, of QUERY_WORDS or NO_WORD; a word said twice counts twice.
    """
    matches = jnp.sum(jnp.asarray(MENTIONS)[query], axis=0)
    rank = matches * NUM_ITEMS + jnp.asarray(PRIORITY)  # no two alike
    # In float32, which holds these numbers exactly: on CPU its top_k is far faster.
    rank = rank.astype(jnp.float32)
    return jax.lax.top_k(rank, TOP)[1].astype(jnp.int32)
