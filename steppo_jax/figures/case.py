"""Figure 8: one episode, value and advantage of each step under every estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from steppo_jax import recredit, settings
from steppo_jax.figures import drawing
from steppo_jax.figures.cells import joined
from steppo_jax.figures.result import Missing, Result, sign
from steppo_jax.recredit import Recredit
from steppo_jax.study.run import Run

NAME = "case_study"
COMMAND = (
    "python -m experiments.train --config=configs/household.py:ppo "
    "--config.rollout.groups=8 --config.rollout.group_size=8 --workdir=RUNS/case"
)
LONGEST = 44  # characters of a response beside its row
COLOURS = LinearSegmentedColormap.from_list("credit", ["#d9641e", "white", "#2c6fb3"])


def config_of(run: Run):
    """The configuration that the settings of a run came from."""
    nested: dict[str, Any] = {}
    for name, value in run.settings.items():
        node = nested
        *parents, leaf = name.split(".")
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return settings.from_dict(nested)


def pick(runs: Sequence[Run]) -> tuple[Run, list[Recredit], dict[str, str]] | None:
    """The run whose episodes allow the most estimators, with a solved one if any."""
    best, rank = None, (0, False)
    for run in runs:
        if not run.episodes:
            continue
        config = config_of(run)
        allowed = recredit.allowed(run.episodes, config)
        solved = any(_returned(e) for e in run.episodes)
        if (len(allowed), solved) > rank:
            best, rank = run, (len(allowed), solved)
    if best is None:
        return None
    return (best, *recredit.of_episodes(best.episodes, config_of(best)))


def _returned(episode: Mapping[str, Any]) -> bool:
    return bool(episode["terminated"]) and episode["return"] > 0


def choose(run: Run) -> int:
    """The episode to look at: the longest solved one, or the first."""
    solved = [i for i, e in enumerate(run.episodes) if _returned(e)]
    return max(solved, key=lambda i: (len(run.episodes[i]["steps"]), -i), default=0)


def make(runs: Sequence[Run]) -> Result | Missing:
    found = pick(runs)
    if found is None:
        return Missing(NAME, "a run with stored episodes (trajectories > 0)", COMMAND)
    run, estimates, left_out = found
    place = choose(run)
    episode = run.episodes[place]
    rows = []
    for t, step in enumerate(episode["steps"]):
        by = {e.estimator: e.steps[place][t] for e in estimates}
        value = None if run.settings["critic.kind"] == "none" else _value(step)
        rows.append(
            {
                "step": t + 1,
                "response": step["response"],
                "reward": step["reward"],
                "value": value,
                "advantage_in_training": step["advantage"],
                **by,
            }
        )
    end = "solved" if _returned(episode) else "not solved"
    told = [_signs(e, place) for e in estimates]
    by_reason: dict[str, list[str]] = {}
    for name, why in left_out.items():
        by_reason.setdefault(why, []).append(name)
    without = "; ".join(f"{joined(names)}: {w}" for w, names in by_reason.items())
    return Result(
        name=NAME,
        title=f"One episode of {run.environment} under {len(estimates)} estimators",
        shows=(
            f"{len(rows)} steps ({end}) of {run.cell}, seed {run.seed}: value of each "
            f"step and its advantage by {joined([e.estimator for e in estimates])}, "
            f"not normalised. Steps with a positive advantage: {joined(told)}."
        ),
        limits=(
            "One episode shows how estimators differ, not which is right. All of them "
            "read the critic of this run, which was trained for its own estimator; "
            "token-level advantages are means over the step's tokens."
            + (f" Left out — {without}." if without else "")
        ),
        rows=rows,
        draw=lambda: draw(run, episode, estimates, place),
    )


def _value(step: Mapping[str, Any]) -> float:
    """Before the first token: where a step critic reads."""
    return step["token_value"][0] if step.get("token_value") else step["value"]


def _signs(e: Recredit, place: int) -> str:
    positive = sum(a > 0 for a in e.steps[place])
    return f"{e.estimator} {positive}"


def _short(step: Mapping[str, Any]) -> str:
    text = " ".join(step["response"].split()).replace("<eos>", "").strip()
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return text.replace("$", r"\$")


def draw(run: Run, episode, estimates: Sequence[Recredit], place: int) -> Figure:
    count = len(episode["steps"])
    columns = [(_name(e), np.array(e.steps[place]), _largest(e)) for e in estimates]
    if run.settings["critic.kind"] != "none":
        values = np.array([_value(s) for s in episode["steps"]])
        columns.insert(0, ("value", values, max(1e-9, np.abs(values).max())))
    figure = Figure(
        figsize=(max(6.5, 3.4 + 0.72 * len(columns)), 1.9 + 0.25 * count),
        layout="constrained",
    )
    axes = figure.subplots()
    shades = np.stack([x / scale for _, x, scale in columns], axis=1)
    if columns[0][0] == "value":
        shades[:, 0] = 0  # a value praises or blames nothing
    axes.imshow(shades, cmap=COLOURS, vmin=-1, vmax=1, aspect="auto")
    for j, (_, numbers, _) in enumerate(columns):
        for i, x in enumerate(numbers):
            strong = abs(shades[i, j]) > 0.75
            axes.text(
                j,
                i,
                sign(x, "+.2f" if j or columns[0][0] != "value" else ".2f"),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if strong else "black",
            )
    axes.set_xticks(
        range(len(columns)), [name for name, _, _ in columns], rotation=35, ha="left"
    )
    names = [f"{t + 1}  {_short(s)}" for t, s in enumerate(episode["steps"])]
    axes.set_yticks(range(count), names)
    heading = (
        f"{run.environment}, {run.cell}, seed {run.seed}: return "
        f"{episode['return']:.3g}\nshade: share of the column's largest; * trained with"
    )
    drawing.finish(figure, heading)
    axes.xaxis.tick_top()
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelsize=7.5)
    return figure


def _name(e: Recredit) -> str:
    return e.estimator + (" *" if e.own else "")


def _largest(e: Recredit) -> float:
    """Of the whole group, so that an episode of small credit looks pale."""
    return max([1e-9, *(abs(a) for episode in e.steps for a in episode)])
