"""Wrong input at the command line: one clear line, exit code 2, no traceback."""

import os
import pathlib
import subprocess
import sys

import pytest

from configs import household
from experiments import entry
from steppo_jax import settings
from steppo_jax.errors import Refused
from steppo_jax.run_record import Run

ROOT = pathlib.Path(__file__).parent.parent
CONFIG = "--config=configs/household.py:steppo,smoke"


def start(job: str, *arguments: str, platforms: str = "cpu"):
    """The finished process of an entry point."""
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{job}", *arguments],
        cwd=ROOT,
        env={**os.environ, "JAX_PLATFORMS": platforms},
        capture_output=True,
        text=True,
        timeout=120,
    )


def assert_refused(done: subprocess.CompletedProcess, *parts: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith("error: ")
    for part in parts:
        assert part in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ([CONFIG, "--config.credit.gama=1"], ["credit.gama", "'credit.gamma'"]),
        ([CONFIG, "--config.seed", "x"], ["config.seed=x", "needs a whole number"]),
        (
            ["--config=configs/household.py:foo"],
            ["preset 'foo'", "steppo, capo, ppo, grpo"],
        ),
        ([CONFIG, "--config.learner.minibatches=3"], ["=3", "equal parts"]),
        ([CONFIG, "--wrkdir=x"], ["wrkdir", "workdir"]),
        ([], ["--config is missing", "FILE.py:METHOD"]),
    ],
)
def test_train_refuses(tmp_path, arguments, parts):
    done = start("train", *arguments, f"--workdir={tmp_path / 'run'}")
    assert_refused(done, *parts)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_train_refuses_folders_it_cannot_use(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = start("train", CONFIG, f"--workdir={file}/run")
    assert_refused(done, f"{file}/run", "cannot be written", "Not a directory")
    Run(tmp_path / "run", household.get_config("grpo"), "1").close()
    # Without a platform jax tries them all, and says so at the level INFO.
    done = start("train", CONFIG, f"--workdir={tmp_path / 'run'}", platforms="")
    assert_refused(done, "holds another run", "config.preset: the run has")


@pytest.mark.slow
def test_evaluate_refuses_folders_without_a_run(tmp_path):
    done = start("evaluate", f"--workdir={tmp_path}")
    assert_refused(done, str(tmp_path), "no run was started there")
    done = start("evaluate")
    assert_refused(done, "--workdir is missing")


@pytest.mark.slow
def test_a_defect_in_a_configuration_file_keeps_its_traceback(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("def get_config(arg='x'):\n  raise KeyError('a defect')\n")
    done = start("train", f"--config={path}", f"--workdir={tmp_path / 'run'}")
    assert done.returncode not in (0, 2)
    assert "Traceback" in done.stderr and "broken.py" in done.stderr


@pytest.mark.slow
def test_help_says_what_there_is():
    done = start("train", "--help")
    assert done.returncode == 0, done.stderr
    for part in ("python -m experiments.train", "--workdir", "--profile", "grpo"):
        assert part in done.stdout
    assert all(field in done.stdout for field in settings.FIELDS)


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("--config=nowhere.py:ppo", "no file 'nowhere.py'; .*steppo, capo, ppo"),
        ("--config.sed=1", "config.sed does not exist; did you mean 'seed'"),
        ("--noconfig.model.qknorm", "did you mean 'model.qk_norm'"),
        ("--config.seed=1.5", "config.seed='1.5': needs a whole number"),
        ("--config.credit.gamma=high", "config.credit.gamma='high': needs a number"),
        ("--config.model.qk_norm=maybe", "needs true or false"),
        ("--config.seed=None", "config.seed=None: needs a whole number"),
        ("--config.preset=household:ppo", "write --config=FILE.py:METHOD"),
    ],
)
def test_arguments_are_checked_before_they_are_parsed(argument, says):
    with pytest.raises(Refused, match=says) as error:
        entry.check_arguments(["--workdir=x", argument])
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "argument",
    [
        "--config=configs/household.py:steppo",
        "--config.critic.value_clip=None",
        "--config.credit.gamma=1",
        "--config.model.qk_norm",
        "--noconfig.model.qk_norm",
        "--config.eval.panels=seen",
        "--config.seed",
        "--workdir=x",
    ],
)
def test_good_arguments_pass(argument, monkeypatch):
    monkeypatch.chdir(ROOT)
    entry.check_arguments([argument])


def test_the_innermost_refusal_is_the_one_shown():
    try:
        try:
            raise settings.ConfigError("what was wrong")
        except ValueError as error:
            raise settings.ConfigError(f"while parsing:\n {error}") from error
    except ValueError as error:
        assert str(entry.refusal(error)) == "what was wrong"
    assert entry.refusal(KeyError("x")) is None
