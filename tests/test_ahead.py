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


def test_seconds_of_flops_and_of_links_by_hand():
    sent = {"all-gather": 3e9, "all-reduce": 1e9}
    account = ahead.Account("update", 0, 0, 0, 6e15, sent, 0.0, None)
    chip = ahead.Chip(gib=1, tflops=100, gigabits=16)
    assert ahead.seconds(account, chip, count=30) == (2.0, 2.0)
