"""What the registry and the row entry refuse, and in which words."""

import dataclasses

import numpy as np
import pytest

from steppo_jax import credit
from steppo_jax.credit.registry import register

ROW = (np.ones((2, 1)), np.ones((2, 1)), [0, 0], [0, 1])
VALUE = np.zeros((2, 1))


def test_unknown_name_lists_the_known():
    with pytest.raises(ValueError, match=r"credit='gae' is unknown; known: step_gae, "):
        credit.get("gae")


def test_a_name_cannot_be_registered_twice():
    with pytest.raises(ValueError, match="'grpo' is registered already"):
        register(credit.get("grpo"))


def test_options_must_be_fields_of_the_settings():
    entry = dataclasses.replace(credit.get("grpo"), name="new", options=("gama",))
    with pytest.raises(ValueError, match="'gama'"):
        register(entry)
    assert "new" not in credit.names()


def test_a_setting_that_would_be_ignored_is_refused():
    with pytest.raises(ValueError, match="'grpo' does not use gamma"):
        credit.check("grpo", credit.CreditSettings(gamma=0.9))


def test_a_setting_that_is_needed_is_named():
    with pytest.raises(ValueError, match="'gigpo' needs gamma"):
        credit.check("gigpo", credit.CreditSettings())


@pytest.mark.parametrize("given", [{}, dict(lam=0.9, lam_alpha=0.1)])
def test_lam_is_a_number_or_adaptive(given):
    with pytest.raises(ValueError, match="exactly one of lam, lam_alpha"):
        credit.check("step_gae", credit.CreditSettings(gamma=0.9, **given))


def test_there_is_no_twin_of_what_the_official_code_lacks():
    with pytest.raises(ValueError, match="'monte_carlo' is not in the official code"):
        credit.check("monte_carlo", credit.CreditSettings(official=True))


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("step_gae", {}, "needs value_BL"),
        ("grpo", {}, "needs group_id_B"),
        ("gigpo", dict(group_id_B=[0, 0]), "needs state_key_B"),
        ("monte_carlo", dict(official=False), "needs branch_advantage_B"),
        ("grpo", dict(group_id_B=[0, 0], gamma=0.5), "does not use gamma"),
        ("grpo", dict(group_id_B=[0, 0], divide_by_sdt=True), "divide_by_sdt"),
        ("grpo", dict(group_id_B=[0, 0], normalise="all"), "normalise='all'"),
        ("grpo", dict(group_id_B=[0]), "group_id_B has shape"),
        ("step_gae", dict(value_BL=np.zeros((2, 2))), "value_BL has shape"),
        ("step_gae", dict(value_BL=VALUE, next_value_B=[0, 0]), "go together"),
        (
            "step_gae",
            dict(value_BL=VALUE, next_value_B=[0, 0], truncated_B=[0, 1]),
            "official=True never bootstraps",
        ),
    ],
)
def test_rows_refuse_by_name(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        credit.from_rows(name, *ROW, **arguments)


@pytest.mark.parametrize("steps", [[0, 0], [0, 2]])
def test_rows_refuse_repeated_and_missing_steps(steps):
    with pytest.raises(ValueError, match="count up by one"):
        credit.from_rows("step_gae", *ROW[:3], steps, value_BL=VALUE)
