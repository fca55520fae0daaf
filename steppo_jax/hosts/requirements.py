"""What a family needs on this machine, asked for before any model is loaded."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess

from steppo_jax.errors import Refused

INSTALL_JAVA = "apt-get install openjdk-17-jre-headless"


class Missing(Refused):
    """Something that has to be installed or downloaded first."""


def package(module: str, extra: str, licence: str) -> None:
    """Raises Missing, with the command, unless `module` can be imported."""
    if importlib.util.find_spec(module) is None:
        wanted = f"steppo_jax[{extra.replace('_', '-')}]"  # as old pips need it
        raise Missing(
            f"env.name={extra} needs the package {module} ({licence}); "
            f"pip install '{wanted}'"
        )


def java(user: str) -> None:
    """Raises Missing, with the command, unless Java starts."""
    found = shutil.which("java")
    if found is None:
        raise Missing(f"env.name={user} needs Java 17, there is none; {INSTALL_JAVA}")
    asked = subprocess.run([found, "-version"], capture_output=True, timeout=60)
    if asked.returncode:
        raise Missing(f"env.name={user}: {found} does not start; {INSTALL_JAVA}")
