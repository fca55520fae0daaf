"""experiments.figures: redrawing, collecting, refusing; and the command of a run."""

import pathlib
import subprocess
import sys

import pytest
from absl import flags
from absl.testing import flagsaver

from configs import household, shop
from experiments import retrace
from steppo_jax import settings
from steppo_jax.errors import Refused
from tests import entry_points
from tests.study import made_up
from tests.study.test_store import folder

figures = entry_points.load("figures")
its_flags = entry_points.with_flags("figures")

ROOT = pathlib.Path(__file__).parents[2]


def call(*arguments):
    with flagsaver.flagsaver():
        flags.FLAGS(["figures", *map(str, arguments)])
        figures.main()


def test_records_redraw_what_the_run_folders_drew(tmp_path, capsys):
    """Byte for byte: CSV, SVG, PNG, words and page."""
    for seed in (0, 1):
        folder(tmp_path / "runs" / f"a{seed}", seed=seed)
        folder(tmp_path / "runs" / f"b{seed}", seed=seed, preset="grpo")
    call(f"--runs={tmp_path}/runs", f"--collect={tmp_path}/kept")
    assert "4 run records" in capsys.readouterr().out
    for source in ("runs", "kept"):
        call(
            f"--runs={tmp_path / source}",
            f"--out={tmp_path}/{source}-out",
            "--figure=cost,discount",
        )
    told = capsys.readouterr().out
    assert "discount: skipped, it needs" in told and "1 figures and report.html" in told
    one, two = (sorted((tmp_path / f"{x}-out").iterdir()) for x in ("runs", "kept"))
    names = ["cost.csv", "cost.png", "cost.svg", "cost.txt", "report.html"]
    assert [p.name for p in one] == [p.name for p in two] == names
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes(), a.name
    assert str(tmp_path) not in one[-1].read_text()


def test_refusals(tmp_path):
    with pytest.raises(Refused, match="--out is missing"):
        call(f"--runs={tmp_path}")
    with pytest.raises(Refused, match="did you mean 'discount'"):
        call(f"--runs={tmp_path}", f"--out={tmp_path}", "--figure=discont")


def test_a_refusal_is_one_line_and_exit_code_2(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "experiments.figures", f"--runs={tmp_path}", "--out=x"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "no finished run folder" in done.stderr


@pytest.mark.parametrize(
    "config",
    [
        household.get_config("ppo,smoke,seed=3,credit.gamma=1,critic.value_clip=0.5"),
        shop.get_config("steppo,eval.panels=seen,env.max_steps=7"),
    ],
)
def test_the_command_of_a_run_makes_its_settings(config):
    words = retrace.command(settings.flat(config)).split()
    file, _, argument = words[3].partition("=")[2].partition(":")
    fields = [w.removeprefix("--config.") for w in words[4:-1]]
    module = {"configs/household.py": household, "configs/shop.py": shop}[file]
    again = module.get_config(",".join([argument, *fields]))
    assert settings.flat(again) == settings.flat(config)


def test_a_run_without_a_config_file_has_no_command():
    run = made_up.run()
    assert "command" in retrace.with_command(run).origin
    assert retrace.command({**run.settings, "preset": "mine:steppo"}) is None
    assert retrace.command({**run.settings, "preset": "household:mine"}) is None
