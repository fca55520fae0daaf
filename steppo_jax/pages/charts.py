"""The curves of a run, small and many."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from steppo_jax import metrics, records, report

SHOWN = (
    (metrics.SUCCESS, "success of training episodes"),
    (metrics.RETURN, "return"),
    (metrics.STEPS, "steps per episode"),
    (metrics.TOKENS, "tokens per response"),
    (metrics.ENTROPY, "entropy per token"),
    (metrics.KL, "KL to the policy before the update"),
    (metrics.CLIP, "share of clipped ratios"),
    (metrics.EXPLAINED_VARIANCE, "critic: explained variance"),
    ("critic/loss", "critic: squared error per element"),
)
COLUMNS = 3


def curves(lines: Sequence[records.Record]) -> Figure | None:
    """One small chart for each metric that the run has; None for a run without."""
    found = [(n, label, *report.column(lines, n)) for n, label in SHOWN]
    found = [one for one in found if len(one[2]) > 1]
    if not found:
        return None
    rows = -(-len(found) // COLUMNS)
    figure = Figure(figsize=(10.2, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for each, (name, label, done, value) in zip(axes, found, strict=False):
        each.plot(done, value, color=report.LIGHT, lw=0.9)
        each.plot(done, report.smooth(value), color=report.INK, lw=1.8)
        each.set_title(label, fontsize=9, loc="left", color="#333333")
        if name == metrics.SUCCESS:
            each.set_ylim(0, 1)
        each.spines[["top", "right"]].set_visible(False)
        each.grid(alpha=0.25, lw=0.6)
        each.tick_params(labelsize=8)
    for each in axes[len(found) :]:
        each.set_axis_off()
    return figure
