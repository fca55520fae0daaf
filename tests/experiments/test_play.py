"""`experiments.play`: what it prints, and how it refuses."""

import builtins
import os
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import play
from steppo_jax import envs


@pytest.fixture
def run(capsys, monkeypatch):
    """run(typed=…, **flags) → (exit code, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "90")
    if not flags.FLAGS.is_parsed():
        flags.FLAGS(["play"])

    def call(*arguments, typed=(), **values):
        lines = iter(typed)

        def read(prompt=""):
            try:
                return next(lines)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(builtins, "input", read)
        with flagsaver.flagsaver(**values):
            code = play.main(["play", *arguments])
        return (code, *capsys.readouterr())

    return call


def test_the_expert_is_shown_with_everything_hidden(run):
    code, out, err = run(panel="seen", index=3, think_tokens=0)
    assert code == 0 and err == ""
    assert "household version 1, panel seen, task 3" in out
    assert "  cabinet 1 closed mug\n" in out  # the world, before the first step
    assert "> go to cabinet 1 <eos>\n" in out
    assert "You see a mug.\n" in out
    assert out.endswith(
        "ended by the task after 12 steps (fewest possible: 5), return 1\n"
    )


def test_the_same_seed_shows_the_same_episode(run):
    shown = [run(noise=0.5, seed=seed, max_steps=6)[1] for seed in (1, 1, 2)]
    assert shown[0] == shown[1] != shown[2]


def test_a_random_policy_is_cut_by_the_limit(run):
    code, out, _ = run(policy="random", max_steps=5)
    assert code == 0
    assert "cut by the step limit after 5 steps" in out and "return 0" in out


def test_a_person_plays_and_sees_nothing_hidden_before_the_end(run):
    typed = ["help", "", "Go to  shelf 1", "fly [red]", "go to shelf 2", "go to sink 1"]
    code, out, _ = run(policy="human", panel="seen", index=3, typed=typed, max_steps=4)
    assert code == 0
    before, after = out.split(" end ")
    assert "cabinet 1 closed mug" not in before and "cabinet 1 closed mug" in after
    assert before.count("You can say: go to cabinet 1") == 2  # at the start, and help
    assert "You see a plate, an egg." in before
    assert "Your last response was not recognised as an action." in before
    assert "cut by the step limit after 4 steps" in after


@pytest.mark.parametrize("typed", [["quit"], []])  # [] is the end of the input
def test_a_person_can_stop(run, typed):
    code, out, _ = run(policy="human", typed=["go to shelf 1", *typed])
    assert code == 0 and out.rstrip().endswith("stopped")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"env": "houshold"},
            f"environment: 'houshold' is not one of {', '.join(envs.names())}",
        ),
        ({"panel": "test"}, "panel: 'test' is not one of train, seen, unseen"),
        ({"index": 512}, "index: 512 is not in 0 … 511 (panel 'seen')"),
        (
            {"policy": "random", "noise": 0.5},
            "noise: 0.5 is for --policy=expert only",
        ),
    ],
)
def test_bad_values_are_one_line(run, values, message):
    assert run(**values) == (2, "", f"play: {message}\n")


def test_a_stray_argument_is_refused(run):
    assert run("seen") == (2, "", "play: not a flag: 'seen'\n")


@pytest.mark.slow
def test_from_the_command_line():
    """A flag that absl itself refuses: exit code ≠ 0 and no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.play", "--noise=2"],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode != 0
    assert "noise=2" in done.stderr and "Traceback" not in done.stderr
