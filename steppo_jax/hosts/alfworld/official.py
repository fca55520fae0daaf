"""The official game files, where a person has them in ALFWORLD_DATA.

    pip install 'steppo_jax[alfworld]' && alfworld-download    (2 GB, MIT)

Of a file only the PDDL and the words of its task are used: its grammar has expressions
that TextWorld would run as code, so texts come from the grammar of the package.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from typing import Any

from steppo_jax.errors import Refused
from steppo_jax.hosts.alfworld.expert import Goal
from steppo_jax.hosts.requirements import Missing

FOLDERS = {"train": "train", "seen": "valid_seen", "unseen": "valid_unseen"}
SIZES = {"train": 3553, "seen": 140, "unseen": 134}  # as the paper counts them
TASK = re.compile(r"Your task is to: (?P<task>[^\"\\]*?)\.?\"")
MARKUP = re.compile(r"[{}#|\[\]\"\\]")  # of the grammar
# What reading a file of another form raises.
WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
DOWNLOAD = (
    "download the files with alfworld-download and set ALFWORLD_DATA to their folder, "
    "or set --config.env.variant=generated"
)


def files(panel: str) -> list[pathlib.Path]:
    """The game files of a panel in a fixed order. Missing where they are not there."""
    data = os.environ.get("ALFWORLD_DATA")
    if not data:
        raise Missing(f"env.variant=official needs ALFWORLD_DATA; {DOWNLOAD}")
    folder = pathlib.Path(data) / "json_2.1.1" / FOLDERS[panel]
    found = sorted(folder.rglob("game.tw-pddl"))
    found = [p for p in found if not {"movable", "Sliced"} & _words(p)]
    if not found:
        raise Missing(f"env.variant=official: no game.tw-pddl in {folder}; {DOWNLOAD}")
    return found


def _words(path: pathlib.Path) -> set[str]:
    """Which of the kinds that ALFWorld leaves out stand in a path."""
    return {word for word in ("movable", "Sliced") if word in str(path)}


def game(path: pathlib.Path) -> dict[str, Any]:
    """Task and PDDL of a file, and its goal from the traj_data.json beside it.

    Raises Refused for one that is no game.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        task = TASK.search(data["grammar"])["task"]
        beside = path.with_name("traj_data.json").read_text(encoding="utf-8")
        about = json.loads(beside)
        wanted = about["pddl_params"]
        found = {
            "goal": Goal(
                about["task_type"],
                wanted["object_target"],
                wanted["parent_target"],
                wanted["toggle_target"],
            ),
            "task": MARKUP.sub(" ", task),
            "pddl_domain": data["pddl_domain"],
            "pddl_problem": data["pddl_problem"],
        }
        texts = [*found.values(), *vars(found["goal"]).values()]
        if not all(isinstance(text, str | Goal) for text in texts):
            raise TypeError("a field that is no text")
        return found
    except WRONG as error:
        says = " ".join(repr(error).split())[:200]
        raise Refused(f"{path} is no ALFWorld game: {says}; restore it") from None
