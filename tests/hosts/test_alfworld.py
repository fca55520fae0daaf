"""ALFWorld's engine: games of six families, fast and word for word the same."""

import json
import os
import random

import pytest

from steppo_jax import hosts
from steppo_jax.hosts.alfworld import expert, generator, official
from steppo_jax.hosts.alfworld.expert import Goal, World
from steppo_jax.hosts.requirements import Missing

FAMILY = hosts.make("alfworld")


class Fact:
    def __init__(self, name, *who):
        self.name = name
        self.arguments = [type("V", (), {"name": x}) for x in who]


def world():
    """Mug in a shut cabinet, plates on desk and shelf, sink; cabinet stands at it."""
    facts = [
        *(Fact("receptacletype", r, f"{r[:-1]}type") for r in ("cabinet1", "desk1")),
        Fact("receptacletype", "shelf1", "shelftype"),
        Fact("receptacletype", "sinkbasin1", "sinkbasintype"),
        Fact("receptacleatlocation", "cabinet1", "a"),
        Fact("receptacleatlocation", "sinkbasin1", "a"),
        Fact("receptacleatlocation", "desk1", "b"),
        Fact("receptacleatlocation", "shelf1", "c"),
        Fact("openable", "cabinet1"),
        *(Fact("objecttype", o, f"{o[:-1]}type") for o in ("mug1", "plate1", "plate2")),
        Fact("objecttype", "desklamp1", "desklamptype"),
        Fact("inreceptacle", "mug1", "cabinet1"),
        Fact("inreceptacle", "plate1", "desk1"),
        Fact("inreceptacle", "plate2", "shelf1"),
        Fact("inreceptacle", "desklamp1", "desk1"),
    ]
    names = {x.name for fact in facts for x in fact.arguments}
    return World(facts, {name: f"{name[:-1]} {name[-1]}" for name in names})


@pytest.mark.parametrize(
    ("goal", "path"),
    [
        (
            Goal("pick_and_place_simple", "Mug", "Desk", ""),
            "go to cabinet 1; open cabinet 1; take mug 1 from cabinet 1; "
            "go to desk 1; move mug 1 to desk 1",
        ),
        (  # the sink is where the cabinet is
            Goal("pick_clean_then_place_in_recep", "Mug", "Cabinet", ""),
            "go to cabinet 1; open cabinet 1; take mug 1 from cabinet 1; "
            "clean mug 1 with sinkbasin 1; move mug 1 to cabinet 1",
        ),
        (  # of two plates the one that lies at the lamp
            Goal("look_at_obj_in_light", "Plate", "", "DeskLamp"),
            "go to desk 1; take plate 1 from desk 1; use desklamp 1",
        ),
        (
            Goal("pick_two_obj_and_place", "Plate", "Shelf", ""),
            "go to desk 1; take plate 1 from desk 1; go to shelf 1; "
            "move plate 1 to shelf 1; take plate 2 from shelf 1; "
            "move plate 2 to shelf 1",
        ),
        (Goal("pick_and_place_simple", "Spoon", "Desk", ""), ""),
    ],
)
def test_the_expert_takes_the_shortest_way(goal, path):
    assert "; ".join(expert.path(world(), goal)) == path


@pytest.fixture(scope="module")
def env():
    for module in ("alfworld", "fast_downward"):
        pytest.importorskip(module, reason="pip install 'steppo_jax[alfworld]'")
    return FAMILY.make()


@pytest.mark.parametrize("task", range(6), ids=generator.FAMILIES)
def test_the_expert_wins_a_game_of_every_family(env, task):
    options = {"panel": "unseen", "task": task}
    seen, info = env.reset(options=options)
    assert seen.startswith("Task: ") and "help" not in info["commands"]
    said, total, over = [seen], 0.0, False
    while not over:
        assert info["expert"] in info["commands"]
        seen, reward, over, _, info = env.step(info["expert"])
        said.append(seen)
        total += reward
    assert total == 1 == info["outcome"]["success"]
    assert len(said) - 1 == info["outcome"]["golden_steps"]
    assert env.reset(options=options)[0] == said[0], "the same game every time"


def test_games_of_a_panel_differ_and_unseen_rooms_are_never_trained_in(env):
    games = [generator.game("train", task)[0] for task in range(12)]
    assert len({game["pddl_problem"] for game in games}) == 12
    assert len({game["task"] for game in games}) > 9

    def rooms(panel):
        made = (generator.game(panel, t)[0]["pddl_problem"] for t in range(60))
        return {text.split("plan_")[1].split(")")[0] for text in made}

    assert not rooms("unseen") & (rooms("train") | rooms("seen"))


def test_the_fast_engine_says_what_the_engine_as_shipped_says(env):
    """Word for word, on a walk through all commands."""
    from steppo_jax.hosts.alfworld import fast_engine
    from steppo_jax.hosts.alfworld.engine import Engine

    game, _ = generator.game("seen", 1)

    def walk(engine):
        said, rng = [engine.open(game).scene], random.Random(0)
        for _ in range(10):
            said.append(engine.act(rng.choice(said[-1].commands)))
        return said

    fast = walk(Engine("generated"))
    new = {
        (owner, name): getattr(owner, name)
        for owner, name, _ in fast_engine.replacements()
    }
    try:
        for owner, name, old in fast_engine.originals():
            setattr(owner, name, old)
        assert walk(Engine("generated", fast=False)) == fast
    finally:
        for (owner, name), value in new.items():
            setattr(owner, name, value)
    assert len({scene.text for scene in fast}) > 5


def written(folder, game, grammar):
    """A game file as the official ones are."""
    folder.mkdir(parents=True)
    data = {"pddl_domain": "(define)", "pddl_problem": game, "grammar": grammar}
    (folder / "game.tw-pddl").write_text(json.dumps(data))
    goal = {"object_target": "Mug", "parent_target": "Desk", "toggle_target": ""}
    about = {"task_type": "pick_and_place_simple", "pddl_params": goal}
    (folder / "traj_data.json").write_text(json.dumps(about))


def test_official_files_are_data(tmp_path, monkeypatch):
    """The words of the task are taken, the grammar, which would be run, is not."""
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    evil = 'x "rhs": "Your task is to: put {__import__(1)} a #mug# in desk." y'
    root = tmp_path / "json_2.1.1"
    for panel, folder in official.FOLDERS.items():
        written(root / folder / "a" / "trial", "(p)", evil)
        written(root / folder / "b-movable" / "trial", "(p)", evil)
        (path,) = official.files(panel)
    game = official.game(path)
    assert game["task"] == "put  __import__(1)  a  mug  in desk"
    assert game["goal"] == Goal("pick_and_place_simple", "Mug", "Desk", "")
    assert hosts.make("alfworld", variant="official").size("seen") == 1
    path.write_text("{}")
    with pytest.raises(ValueError, match="is no ALFWorld game"):
        official.game(path)


def test_official_games_need_their_files(tmp_path, monkeypatch):
    monkeypatch.delenv("ALFWORLD_DATA", raising=False)
    with pytest.raises(Missing, match="needs ALFWORLD_DATA; download"):
        official.files("seen")
    monkeypatch.setenv("ALFWORLD_DATA", os.fspath(tmp_path))
    with pytest.raises(Missing, match=r"no game\.tw-pddl in"):
        official.files("seen")
