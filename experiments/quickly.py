"""Compiling quickly, for runs that take seconds: slower programs, sooner."""

from __future__ import annotations

import os

import jax
import jaxlib

EMITTERS = "--xla_cpu_use_fusion_emitters=false"


def settle() -> None:
    """Here and in every process started from here. Before jax starts its backend.

    Programs add in another order than those compiled with care: last digits differ.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    given = os.environ.get("XLA_FLAGS", "")
    # Other versions may not know the flag, and abort.
    if jaxlib.__version__.startswith("0.10.") and EMITTERS not in given:
        os.environ["XLA_FLAGS"] = f"{given} {EMITTERS}".strip()
