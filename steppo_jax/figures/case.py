"""Figure 8: one episode, value and advantage of each step under every estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
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
LONGEST = 60  # characters of a response beside its bar


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
    without = "; ".join(f"{name}: {why}" for name, why in left_out.items())
    return Result(
        name=NAME,
        title=f"One episode of {run.environment} under {len(estimates)} estimators",
        shows=(
            f"{len(rows)} steps ({end}) of {run.cell}, seed {run.seed}: value of each "
            f"step and its advantage by {joined([e.estimator for e in estimates])}, not "
            f"normalised. Steps with a positive advantage: {joined(told)}."
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
    with_critic = run.settings["critic.kind"] != "none"
    columns = ([("value", None)] if with_critic else []) + [
        (e.estimator, e) for e in estimates
    ]
    figure, axes = drawing.canvas(
        1, len(columns), width=1.35, height=1.5 + 0.26 * count, sharey=True
    )
    width = figure.get_size_inches()[0] + 3.6  # room for the responses
    figure.set_size_inches(width, figure.get_size_inches()[1])
    steps = np.arange(count)
    for each, (name, estimate) in zip(axes[0], columns, strict=True):
        if estimate is None:
            values = np.array([_value(s) for s in episode["steps"]])
            each.barh(steps, values, color=drawing.QUIET, height=0.7)
        else:
            values = np.array(estimate.steps[place])
            colours = [
                drawing.COLOURS[2] if v > 0 else drawing.COLOURS[1] for v in values
            ]
            each.barh(steps, values, color=colours, height=0.7)
            reach = max(1e-9, np.abs(values).max()) * 1.1
            each.set_xlim(-reach, reach)
        each.axvline(0, color="black", lw=0.6)
        label = name.replace("_", "\n", 1) + (" *" if estimate and estimate.own else "")
        each.set_title(label, fontsize=8)
        each.tick_params(axis="x", labelsize=6)
    names = [f"{t + 1}  {_short(s)}" for t, s in enumerate(episode["steps"])]
    axes[0, 0].set_yticks(steps, names, fontsize=7)
    axes[0, 0].invert_yaxis()
    heading = (
        f"{run.environment}, {run.cell}, seed {run.seed}: return "
        f"{sign(episode['return'], '.3g')}. Each column has its own scale; * trained with"
    )
    drawing.finish(figure, heading)
    for each in axes[0]:
        each.tick_params(axis="x", labelsize=6)
    axes[0, 0].tick_params(axis="y", labelsize=7)
    return figure
