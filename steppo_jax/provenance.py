"""Where a run comes from: settings, code, packages, machine."""

from __future__ import annotations

import importlib.metadata
import pathlib
import platform
import subprocess
from typing import Any

import jax
import ml_collections

import steppo_jax

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "ml-collections",
    "numpy",
)


def git_commit() -> str | None:
    """Commit of the checkout this package runs from, "+changes" if edited; or None."""
    here = pathlib.Path(__file__).resolve()

    def git(*words: str) -> str:
        command = ["git", "-C", str(here.parent), *words]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, timeout=10
        ).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", here.name)  # not a stranger's checkout
        edited = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if edited else "")
    except (OSError, subprocess.SubprocessError):
        return None


def machine() -> dict[str, Any]:
    """Commit, versions of packages and Python, devices. Starts jax's backend."""
    packages = {name: importlib.metadata.version(name) for name in PACKAGES}
    return {
        "commit": git_commit(),
        "packages": {"steppo_jax": steppo_jax.__version__, **packages},
        "python": platform.python_version(),
        "devices": [device.device_kind for device in jax.local_devices()],
    }


def describe(config: ml_collections.ConfigDict, env_version: str) -> dict[str, Any]:
    """The content of config.json. Starts jax's backend."""
    return {
        "config": config.to_dict(),
        "environment": {"name": config.env.name, "version": env_version},
        **machine(),
    }
