"""Every cell of the grid runs or is refused, and no axis is without effect.

The full form (STEPPO_GRID=full, some minutes) traces and runs the whole pairwise cover,
this one the richest cells of it.
"""

import itertools
import os
import re
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl import flags
from ml_collections import config_flags

from experiments import entry
from steppo_jax import programs, settings
from steppo_jax.parallel import ONE
from tests import toy
from tests.grid import cells, pairwise
from tests.learner.test_grid import shaken

FULL = os.environ.get("STEPPO_GRID") == "full"
GOOD = [cell for cell in cells.bound_cells() if not cells.against(cell)]
COVER = pairwise.cover(GOOD, cells.FREE)
RUN = COVER if FULL else COVER[:4]
PLAIN = {axis: values[0] for axis, values in cells.FREE.items()}
BASE = {
    "credit.estimator": "grpo",
    "lambda": None,
    "credit.divide_by_std": False,
    "credit.official": False,
    "critic.trunk": None,
    "critic.value_clip": None,
    "env.on_time_limit": "terminal",
}


@pytest.fixture(scope="module")
def rolled():
    """By time limit: a rollout in which every step has a reward."""

    def play(limit):
        played = toy.play(toy.Toy(on_time_limit=limit))
        noise = jax.random.normal(jax.random.key(5), played.steps.reward.shape)
        reward = jnp.where(played.steps.valid, played.steps.reward + noise, 0.0)
        return played.replace(steps=played.steps.replace(reward=reward))

    return {limit: play(limit) for limit in cells.BOUND["env.on_time_limit"]}


def test_every_cell_of_the_bound_axes_runs_or_is_refused_by_name():
    accepted = []
    for cell in cells.bound_cells():
        config, suspects = cells.config_of(cell | PLAIN), cells.against(cell)
        if not suspects:
            settings.check(config)
            limit = config.env.on_time_limit
            accepted.append((limit, programs.update_settings(config)))
            continue
        with pytest.raises(settings.ConfigError) as error:
            settings.check(config)
        (named,) = re.findall(r"^config\.([\w.]+)=", str(error.value))
        assert named in suspects, (cell, str(error.value))
    assert len(set(accepted)) == len(accepted) == len(GOOD)


def test_every_cell_of_the_free_axes_is_accepted_and_another_update():
    """Each with one of the bound cells in turn: 3,360 cells and what they compile."""
    found = set()
    for place, values in enumerate(itertools.product(*cells.FREE.values())):
        bound = GOOD[place % len(GOOD)]
        config = cells.config_of(bound | dict(zip(cells.FREE, values)))
        settings.check(config)
        found.add((bound["env.on_time_limit"], programs.update_settings(config)))
    assert len(found) == place + 1


def traced(cell, rolled) -> str:
    """The program of an update, as text."""
    the = cells.learner_of(cells.config_of(cell))
    state = jax.eval_shape(the.init, jax.random.key(0))
    played = rolled[cell["env.on_time_limit"]]
    body = jax.make_jaxpr(lambda *args: the.update(ONE, *args))
    return str(body(state, played.steps, played.tokens))


def assert_all_differ(named):
    seen = {}
    for name, text in named:
        assert text not in seen, f"{name} is the program of {seen[text]}"
        seen[text] = name


def test_each_value_of_a_free_axis_is_another_program(rolled):
    varied = [(("none",), BASE | PLAIN)] + [
        ((axis, value), BASE | PLAIN | {axis: value})
        for axis, values in cells.FREE.items()
        for value in values[1:]
    ]
    assert_all_differ((name, traced(cell, rolled)) for name, cell in varied)


def test_each_bound_cell_is_another_program(rolled):
    """All of them in the full form, here without the critic's further options."""
    few = [cell for cell in GOOD if cell["critic.trunk"] != "own"]
    few = [cell for cell in few if cell["lambda"] != "lam_alpha"]
    few = [cell for cell in few if cell["critic.value_clip"] is None]
    chosen = GOOD if FULL else few
    assert {c["credit.estimator"] for c in chosen} == set(cells.ESTIMATORS)
    # GRPO without the division by a std; they differ in their usual normalisation.
    chosen = [c for c in chosen if c["credit.estimator"] != "reinforce_pp_baseline"]
    assert_all_differ((cell, traced(cell | PLAIN, rolled)) for cell in chosen)
    baseline = BASE | PLAIN | {"credit.estimator": "reinforce_pp_baseline"}
    baseline |= {"credit.divide_by_std": None}
    assert traced(baseline, rolled) == traced(BASE | PLAIN, rolled)


@pytest.mark.parametrize("place", range(len(RUN)))
def test_the_cover_runs(place, rolled):
    cell = RUN[place]
    config = cells.config_of(cell)
    settings.check(config)
    the = cells.learner_of(config)
    state = the.init(jax.random.key(3))
    away = state.replace(policy=shaken(state.policy))
    after, metrics, seen = toy.update(the, rolled[cell["env.on_time_limit"]], away)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((metrics, seen)))
    assert int(after.num_updates) == 2
    for name in ("policy", "critic"):
        start, end = (jax.tree.leaves(getattr(x, name)) for x in (away, after))
        moved = max(
            (float(jnp.abs(a - b).max()) for a, b in zip(start, end)), default=0
        )
        assert moved > 1e-4 or not start, name
    assert ("critic/loss" in metrics) == (cell["critic.trunk"] is not None)


def test_the_cells_that_run_hold_many_pairs():
    held = {pair for cell in RUN for pair in pairwise.pairs(cell)}
    assert len(held) >= 0.25 * len(pairwise.wanted(GOOD, cells.FREE))


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_every_cell_can_be_given_as_flags(monkeypatch):
    """Through the command line: `none` as a name, `None` as unused."""
    for cell in COVER:
        wanted = cells.fields(cell)
        where = "--config=configs/household.py:steppo"
        given = [f"--config.{name}={value}" for name, value in wanted.items()]
        entry.check_arguments(given)
        monkeypatch.setattr(sys, "argv", ["train", where, *given])
        here = flags.FlagValues()
        config_flags.DEFINE_config_file("config", flag_values=here)
        here(sys.argv)
        values = settings.flat(here.config)
        assert {name: values[name] for name in wanted} == wanted
