"""What the engine is asked for and what it gives back."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from steppo_jax.errors import Refused


class EngineError(Refused):
    """A request that the engine cannot serve."""


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How tokens are chosen; 0 = off for top_k, temperature 0 = the most likely."""

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise EngineError(f"temperature={self.temperature}: give 0 or more")
        if self.top_k < 0:
            raise EngineError(f"top_k={self.top_k}: give 0 (all) or more")
        if not 0 < self.top_p <= 1:
            raise EngineError(f"top_p={self.top_p}: give more than 0 and at most 1")


@dataclasses.dataclass(frozen=True)
class Request:
    """One response wanted.

    `key` alone decides the draws (token i uses it folded with i), so a response does
    not depend on the slot, on time, or on other requests.
    """

    prompt: tuple[int, ...]
    key: jax.Array
    max_new: int
    sampling: Sampling = Sampling()
    stop: tuple[str, ...] = ()  # the response ends once its text contains one


@dataclasses.dataclass(frozen=True)
class Completion:
    """One response: token ids as sampled, the stop token included."""

    request: Request
    token: np.ndarray  # [n] int32
    log_prob: np.ndarray  # [n] float32, under the distribution sampled
    policy_version: np.ndarray  # [n] int32, of the weights that sampled the token
    finish: str  # "stop": a stop token or text; "length": max_new reached
