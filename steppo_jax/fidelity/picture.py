"""The picture of a measurement: correlation with the true advantage, by λ."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib.figure

from steppo_jax.fidelity.statistics import Fidelity
from steppo_jax.fidelity.trials import Trial

COLOURS = {"step_gae": "#1b6ca8", "token_gae": "#c8553d", "bi_level_gae": "#5f8f3c"}


def draw(found: Mapping[Trial, Fidelity], heading: str) -> matplotlib.figure.Figure:
    """Left: estimators with a λ, as curves; right: the others. Bars are one s.e."""
    figure = matplotlib.figure.Figure(figsize=(10, 4.2), layout="constrained")
    curves, others = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    names = [t.estimator for t in found if t.lam is not None]
    for name in dict.fromkeys(names):
        points = [(t.lam, f.correlation) for t, f in found.items()]
        points = [p for p, t in zip(points, found) if t.estimator == name]
        lam, score = zip(*points)
        curves.errorbar(
            lam,
            [s.value for s in score],
            [s.se for s in score],
            marker="o",
            capsize=2,
            label=name,
            color=COLOURS.get(name),
        )
    curves.set(xlabel="λ (per step; per token for token_gae)")
    curves.set_ylabel("correlation with the true step advantage")
    curves.legend(frameon=False)
    rest = [t for t in found if t.lam is None]
    for place, trial in enumerate(rest):
        score = found[trial].correlation
        others.errorbar(place, score.value, score.se, marker="o", color="#555", ls="")
    others.set_xticks(range(len(rest)), [t.estimator for t in rest], rotation=40)
    for label in others.get_xticklabels():
        label.set_ha("right")
    for axes in (curves, others):
        axes.grid(axis="y", color="#ddd")
        axes.axhline(0, color="#999", lw=0.8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(heading, fontsize=9)
    return figure
