"""The programs of a run, whichever path its config asks for."""

from __future__ import annotations

from ml_collections import ConfigDict

from steppo_jax import programs
from steppo_jax.programs import Programs


def build(config: ConfigDict) -> Programs:
    """Programs for a config that `settings.check` has accepted; compiles nothing.

    A language model plays in text on the host, every other policy inside the program.
    """
    if config.lm.weights is None:
        return programs.build(config)
    from steppo_jax.text import programs as text  # needs the packages of the extra lm

    return text.build(config)
