"""`experiments.play`: what it prints, and how it refuses."""

import builtins
import os
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from configs import household
from steppo_jax import train
from tests import entry_points

play = entry_points.load("play")
its_flags = entry_points.with_flags("play")

HOUSEHOLD = "--config=configs/household.py:steppo"


@pytest.fixture
def run(capsys, monkeypatch):
    """run(*flags, typed=…) → (exit code, standard output, standard error)."""
    monkeypatch.setenv("COLUMNS", "90")

    def call(*arguments, typed=()):
        lines = iter(typed)

        def read(prompt=""):
            try:
                return next(lines)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(builtins, "input", read)
        # The flag of the configuration file reads its overrides from there.
        monkeypatch.setattr(sys, "argv", ["play", *arguments])
        code = 0
        with flagsaver.flagsaver():
            flags.FLAGS(sys.argv)
            try:
                play.main()
            except SystemExit as stopped:
                code = stopped.code
        return (code, *capsys.readouterr())

    return call


def test_the_expert_is_shown_with_everything_hidden(run):
    code, out, err = run(HOUSEHOLD, "--index=3", "--config.env.think_tokens=0")
    assert code == 0 and err == ""
    assert "household version 2, panel seen, task 3" in out
    assert "  shelf 2          mug, plate\n" in out  # the world, before the first step
    assert "> go to cabinet 1 <eos>\n" in out
    assert "You see a mug, an egg.\n" in out
    assert out.endswith(
        "ended by the task after 10 steps (fewest possible: 4), return 1\n"
    )


def test_the_same_seed_shows_the_same_episode(run):
    few = (HOUSEHOLD, "--noise=0.5", "--config.env.max_steps=6")
    shown = [run(*few, f"--seed={seed}")[1] for seed in (1, 1, 2)]
    assert shown[0] == shown[1] != shown[2]


def test_a_random_policy_is_cut_by_the_limit(run):
    code, out, _ = run(HOUSEHOLD, "--policy=random", "--config.env.max_steps=5")
    assert code == 0
    assert "cut by the step limit after 5 steps" in out and "return 0" in out


def test_a_person_plays_and_sees_nothing_hidden_before_the_end(run):
    typed = ["help", "", "Go to  shelf 2", "fly [red]", "go to shelf 1", "go to sink 1"]
    flags_given = (HOUSEHOLD, "--policy=human", "--index=3", "--config.env.max_steps=4")
    code, out, _ = run(*flags_given, typed=typed)
    assert code == 0
    before, after = out.split(" end ")
    assert "fridge 1  closed apple" not in before and "fridge 1  closed apple" in after
    assert before.count("You can say: go to cabinet 1") == 2  # at the start, and help
    assert "You see a mug, a plate." in before
    assert "Your last response was not recognised as an action." in before
    assert "cut by the step limit after 4 steps" in after


@pytest.mark.parametrize("typed", [["quit"], []])  # [] is the end of the input
def test_a_person_can_stop(run, typed):
    code, out, _ = run(HOUSEHOLD, "--policy=human", typed=["go to shelf 1", *typed])
    assert code == 0 and out.rstrip().endswith("stopped")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run whose prompt holds an earlier turn."""
    workdir = tmp_path_factory.mktemp("play") / "run"
    words = ("iterations=1", "context.policy=last", "context.turns=1", "devices=1")
    train.run(household.get_config(",".join(["grpo,smoke", *words])), workdir)
    return workdir


def test_a_run_plays_what_it_learned(run, trained):
    code, out, err = run(f"--policy={trained}", "--panel=unseen", "--decoding=greedy")
    assert code == 0 and err == ""
    assert "household version 2, panel unseen, task 0" in out
    assert out.count("\n> ") == 4 and "cut by the step limit after 4 steps" in out
    sampled = run(f"--policy={trained}", "--panel=unseen", "--seed=1")[1]
    assert sampled != out and "version 2, panel unseen, task 0" in sampled
    refused = run(f"--policy={trained}", "--decoding=greedy", "--seed=1")
    assert refused[0] == 2
    assert refused[2].startswith("error: --seed=1: greedy decoding draws nothing")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], "--config is missing; give --config=configs/household.py"),
        ([HOUSEHOLD, "--panel=test"], "--panel=test is not one of train, seen, unseen"),
        ([HOUSEHOLD, "--index=512"], "--index=512 is not in 0 … 511 (panel 'seen')"),
        (
            [HOUSEHOLD, "--policy=random", "--noise=0.5"],
            "--noise=0.5 is for --policy=expert only",
        ),
        (
            ["--policy=exprt"],
            "--policy=exprt is no folder of a run, nor one of expert, random, human",
        ),
        (
            [HOUSEHOLD, "--policy=runs/a"],
            "--policy=runs/a brings its own settings; leave --config out",
        ),
        (
            [HOUSEHOLD, "--policy=human", "--seed=1"],
            "--seed=1: a person draws nothing; leave it out",
        ),
        (
            [HOUSEHOLD, "--decoding=greedy"],
            "--decoding and --checkpoint are for a run, not for expert",
        ),
    ],
)
def test_bad_values_are_one_line(run, given, message):
    assert run(*given) == (2, "", f"error: {message}\n")


@pytest.mark.slow
def test_from_the_command_line():
    """A flag that absl itself refuses: exit code ≠ 0 and no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "experiments.play", HOUSEHOLD, "--noise=2"],
        capture_output=True,
        text=True,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode != 0
    assert "noise=2" in done.stderr and "Traceback" not in done.stderr
