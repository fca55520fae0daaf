"""Anchor states by similar text: keys for GiGPO where observations never repeat.

Runs on the host, on strings. The device then groups equal keys as always.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Sequence

import numpy as np


def state_keys(
    observations: Sequence[str],
    group_ids: Sequence[Hashable],
    threshold: float | None = None,
) -> np.ndarray:
    """[B] uint32 keys: steps of one task with like observations share a key.

    Without `threshold` only equal texts are alike. With it, an observation joins
    the first earlier one of its task whose `difflib` ratio 2M/T with it is at least
    `threshold`, and founds a cluster of its own otherwise (GiGPO, arXiv 2505.10978;
    off in the official scripts, which name 0.95). Cost: observations × clusters of
    the task, each a comparison of two texts.

    Raises ValueError for a threshold outside (0, 1) and for unequal lengths.
    """
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"threshold={threshold} must lie between 0 and 1")
    if len(observations) != len(group_ids):
        raise ValueError(f"{len(observations)} observations, {len(group_ids)} groups")
    founders: dict[Hashable, dict[str, int]] = {}  # task → text → key
    # Later founders cannot change which is the first that a text is like.
    settled: dict[tuple[Hashable, str], int] = {}
    keys = np.zeros(len(observations), np.uint32)
    for i, (text, group) in enumerate(zip(observations, group_ids)):
        known = founders.setdefault(group, {})
        key = settled.get((group, text))
        if key is None and threshold is not None:
            key = _first_alike(text, known, threshold)
        if key is None:
            key = known.setdefault(text, len(known))
        keys[i] = settled[group, text] = key
    return keys


def _first_alike(text: str, known: dict[str, int], threshold: float) -> int | None:
    for founder, key in known.items():
        match = difflib.SequenceMatcher(None, text, founder)
        # Two upper bounds first: they are much cheaper than the ratio.
        if (
            match.real_quick_ratio() >= threshold
            and match.quick_ratio() >= threshold
            and match.ratio() >= threshold
        ):
            return key
    return None
