"""Generation for the host path: fixed slots, continuous batching, prefix reuse."""

from steppo_jax.engine.engine import Engine
from steppo_jax.engine.requests import Completion, EngineError, Request, Sampling

__all__ = ["Completion", "Engine", "EngineError", "Request", "Sampling"]
