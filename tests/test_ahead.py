"""What is said of programs compiled for devices that are not here."""

import jax
import pytest

from steppo_jax import ahead
from steppo_jax.errors import Refused


def test_a_libtpu_that_this_jax_cannot_read_is_named():
    class Compiled:
        def as_text(self):
            raise jax.errors.JaxRuntimeError("INTERNAL: RET_CHECK failure")

    with pytest.raises(Refused, match=rf"pip install 'jax\[tpu\]=={jax.__version__}'"):
        ahead._text(Compiled())
