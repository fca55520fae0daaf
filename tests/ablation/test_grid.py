"""What an ablation file says, and what is refused before anything runs."""

import dataclasses

import pytest

from configs.ablations import common, discount, response_length
from steppo_jax.ablation import grid
from steppo_jax.ablation.grid import Ablation, Run
from steppo_jax.errors import Refused
from steppo_jax.run_record import Run as Folder
from tests import entry_points

ablate = entry_points.load("ablate")

FILES = (
    "credit_ratio",
    "discount",
    "response_length",
    "group_size",
    "episode_length",
    "main_table",
)
CELLS = {"a": "household:steppo", "b": "household:steppo,credit.gamma=0.9"}


def build(cells=CELLS, arg="", **how) -> Ablation:
    return common.build("test", arg, cells, **how)


@pytest.mark.parametrize("arg", ["", ":smoke"])
@pytest.mark.parametrize("name", FILES)
def test_shipped_files_are_accepted(name, arg):
    ablation = ablate.load(f"configs/ablations/{name}.py{arg}")
    grid.check(ablation)
    assert ablation.name.startswith(name)
    assert len(ablation.seeds) == (2 if arg else 5)


def test_a_cell_is_what_train_takes_with_every_before_its_own_fields():
    ablation = build({"x": "household:grpo,iterations=7,seed=3"}, every="iterations=60")
    (cell,) = ablation.cells
    assert cell.text == "configs/household.py:grpo,iterations=60,iterations=7,seed=3"
    run = Run(cell, 4)
    assert (run.config.iterations, run.config.seed, run.config.devices) == (7, 4, 1)
    assert run.name == "x/seed-4"


def test_smoke_shrinks_every_run_and_leaves_every_out():
    ablation = build(arg="smoke", every="iterations=60", seeds=range(9))
    assert ablation.seeds == (0, 1)
    assert [cell.config.iterations for cell in ablation.cells] == [3, 3]
    assert ablation.cells[1].config.credit.gamma == 0.9
    assert ablation.smoke and not build().smoke
    assert [c.name for c in build(arg="smoke", smoke=["b"]).cells] == ["b"]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        ({}, "test has no cells"),
        ({"a/b": "household:ppo"}, r"cell a/b .*its name is a folder"),
        ({"x": "household:ppo,devices=2"}, r"cell x .*devices=2: .*leave it out"),
        ({"x": "household:ppo,rollout.temperature=0"}, r"cell x .*temperature=0"),
        ({"x": "household:ppo,critic.kind=none"}, r"cell x .*critic.kind='none'"),
        (
            {"x": "household:ppo", "y": "household:ppo,seed=3"},
            "cell y .*the same settings as cell x",
        ),
    ],
)
def test_cells_that_cannot_run_are_refused_by_name(cells, says):
    with pytest.raises(Refused, match=says) as error:
        grid.check(build(cells))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kitchen:ppo", r"cell x \(kitchen:ppo\): environment 'kitchen' is unknown"),
        ("household", "cell x .*environment 'household'"),
        ("household:pp", "cell x .*did you mean 'ppo'"),
        ("household:ppo,credit.gama=1", "cell x .*did you mean 'credit.gamma'"),
    ],
)
def test_text_that_is_no_configuration_is_refused_by_name(text, says):
    with pytest.raises(Refused, match=says):
        build({"x": text})


def test_seeds_and_arguments():
    with pytest.raises(Refused, match=r"seeds \[1, 1\]: .*all different"):
        grid.check(build(seeds=[1, 1]))
    with pytest.raises(Refused, match=r"seeds \[\]: needs one"):
        grid.check(build(seeds=[]))
    with pytest.raises(Refused, match=r"'fast' is unknown.*smoke"):
        build(arg="fast")
    with pytest.raises(Refused, match=r"cell 'c' is unknown; .*known: a, b"):
        build().only(["c"], [])
    some = build().only(["b"], [7])
    assert [run.name for run in some.runs()] == ["b/seed-7"]


def test_a_file_that_is_no_ablation_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"gives no ablation"):
        ablate.load("configs/household.py:steppo")
    with pytest.raises(Refused, match=r"no Python file"):
        ablate.load("README.md")


def test_a_folder_with_other_settings_is_refused_by_name(tmp_path):
    ablation = build(seeds=[0])
    grid.check_folder(ablation, tmp_path)
    for run in ablation.runs():
        Folder(tmp_path / run.name, run.config, "2").close()
    grid.check_folder(ablation, tmp_path)
    cells = (build({"a": "household:steppo,credit.lam=0.5"}).cells[0],)
    with pytest.raises(Refused, match=r"cell a .*seed-0 holds another run; credit.lam"):
        grid.check_folder(dataclasses.replace(ablation, cells=cells), tmp_path)


def test_discount_has_every_pair_for_both_credits():
    found = {
        (c.config.credit.estimator, c.config.credit.gamma, c.config.credit.lam)
        for c in discount.get_config().cells
    }
    assert len(found) == 24 and ("token_gae", 0.95, 0.8) in found


def test_matched_numbers_are_those_of_a_step_over_a_mean_response():
    for length in response_length.LENGTHS.values():
        gamma, lam = response_length.points("token", length)["matched"]
        assert gamma**length == pytest.approx(0.99, abs=1e-4)
        assert lam**length == pytest.approx(0.95, abs=1e-4)
    counts = {len(response_length.points(c, 9.0)) for c in ("step", "token")}
    assert counts == {4}  # each at its best of as many
