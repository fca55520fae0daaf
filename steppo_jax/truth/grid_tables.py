"""The tables of the grid: estimators with a λ, and those without."""

from __future__ import annotations

from collections.abc import Sequence

from steppo_jax.truth.cells import Table, bias, lines, number, pair, text
from steppo_jax.truth.rows import Row


def by_lam(mdp: str, rows: Sequence[Row]) -> Table:
    """A line per estimator, γ and critic, a column per λ."""
    rows = [row for row in rows if row["lam"] is not None]
    lams = list(dict.fromkeys(row["lam"] for row in rows))
    cells: dict[tuple, dict] = {}
    for row in rows:
        key = (row["estimator"], row["gamma"], row["critic"])
        cell = f"{bias(row, 'gradient')} · {row['gradient_std']:.2f}"
        cells.setdefault(key, {})[row["lam"]] = cell
    return Table(
        f"{mdp}: relative bias of the gradient (against the one its own γ defines) · "
        "standard deviation of a batch",
        ("estimator", "γ", "critic", *(f"λ = {lam:g}" for lam in lams)),
        lines((*map(text, key), *by.values()) for key, by in cells.items()),
    )


def without_lam(mdp: str, rows: Sequence[Row]) -> Table:
    """A line per estimator and γ."""
    return Table(
        f"{mdp}: estimators without a λ",
        (
            "estimator",
            "γ",
            "advantage bias",
            "std",
            "gradient bias",
            "std",
            "slope",
            "cosine with ∇J",
        ),
        lines(
            (
                row["estimator"],
                text(row["gamma"]),
                bias(row, "advantage"),
                number(row["advantage_std"]),
                bias(row, "gradient"),
                f"{row['gradient_std']:.2f}",
                pair(row, "slope"),
                pair(row, "cosine"),
            )
            for row in rows
            if row["lam"] is None
        ),
    )
