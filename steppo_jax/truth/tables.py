"""The rows of the studies as tables for people: terminal and Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from steppo_jax.truth.cells import Table, bias, lines, number, pair, text
from steppo_jax.truth.grid_tables import by_lam, without_lam
from steppo_jax.truth.rows import Row


def all_tables(rows: Sequence[Row]) -> list[Table]:
    """Every table whose study is among the rows."""
    by_part: dict[str, list[Row]] = {}
    for row in rows:
        by_part.setdefault(row["part"], []).append(row)
    tables = []
    for part, found in by_part.items():
        if part == "grid":
            for mdp in dict.fromkeys(row["mdp"] for row in found):
                here = [row for row in found if row["mdp"] == mdp]
                tables += [by_lam(mdp, here), without_lam(mdp, here)]
        else:
            tables += [make(found) for make in MAKERS[part]]
    return tables


def _exact(rows: Sequence[Row]) -> Table:
    return Table(
        "exact expectation over all episodes of small variants: relative bias of the "
        "gradient, standard deviation of one episode",
        ("MDP", "estimator", "γ", "λ", "critic", "bias", "std", "bias against ∇J"),
        lines(
            (
                f"{row['mdp']}, {row['case']}",
                row["estimator"],
                *map(text, (row["gamma"], row["lam"], row["critic"])),
                bias(row, "gradient"),
                f"{row['gradient_std']:.2f}",
                number(row["task_bias"]),
            )
            for row in rows
        ),
    )


def _equality(rows: Sequence[Row]) -> Table:
    return Table(
        "bi-level minus token GAE: largest difference / largest advantage",
        ("γ", "λ", "difference", "in"),
        lines(
            (text(r["gamma"]), text(r["lam"]), number(r["value"]), r["how"][20:])
            for r in rows
        ),
    )


def _length(rows: Sequence[Row]) -> Table:
    return Table(
        "γ as responses grow (chain): error against ∇J and pull on the length",
        (
            "tokens per response",
            "what",
            "γ",
            "‖g − ∇J‖/‖∇J‖",
            "cosine with ∇J",
            "cosine with ∇ length",
        ),
        lines(
            (
                f"{row['x']:.1f}",
                row["case"],
                text(row["gamma"]),
                *map(number, (row["task_bias"], row["cosine"])),
                number(row["length_cosine"]),
            )
            for row in rows
            if row["how"] == "exact"
        ),
    )


def _length_sampled(rows: Sequence[Row]) -> Table:
    return Table(
        "the same by running the estimators: bias and spread of a batch",
        (
            "tokens",
            "estimator",
            "γ",
            "λ",
            "critic",
            "bias at own γ",
            "std",
            "bias against ∇J",
        ),
        lines(
            (
                f"{row['x']:.1f}",
                row["estimator"],
                *map(text, (row["gamma"], row["lam"], row["critic"])),
                bias(row, "gradient"),
                f"{row['gradient_std']:.2f}",
                bias(row, "task"),
            )
            for row in rows
            if row["how"] == "sampled"
        ),
    )


def _fixed_point(rows: Sequence[Row]) -> Table:
    return Table(
        f"fixed point of the critic on work, true V = p/(1 − γ) = {rows[0]['x']:.4f}",
        ("limit", "λ", "V", "closed form"),
        lines(
            (
                row["case"],
                text(row["lam"]),
                f"{row['value']:.6f}",
                f"{row['expected']:.6f}",
            )
            for row in rows
        ),
    )


def _truncation(rows: Sequence[Row]) -> Table:
    return Table(
        "ignoring truncation (chain without an end of its own, γ = 0.9)",
        (
            "episodes cut",
            "estimator",
            "λ",
            "limit",
            "gradient bias",
            "slope",
            "cosine",
            "std",
        ),
        lines(
            (
                f"{row['x']:.0%}",
                row["estimator"],
                text(row["lam"]),
                row["case"],
                bias(row, "task"),
                pair(row, "slope"),
                pair(row, "cosine"),
                f"{row['gradient_std']:.2f}",
            )
            for row in rows
        ),
    )


def _whitening(rows: Sequence[Row]) -> Table:
    return Table(
        "whitening × aggregation (chain, up to 8 thoughts, step GAE λ = 1): direction",
        ("aggregate", "normalise", "critic", "cosine with ∇J", "cosine with ∇ length"),
        lines(
            (
                row["aggregate"],
                row["normalise"],
                row["critic"],
                pair(row, "cosine"),
                pair(row, "length_cosine"),
            )
            for row in rows
        ),
    )


MAKERS = {
    "exact": (_exact,),
    "equality": (_equality,),
    "length": (_length, _length_sampled),
    "fixed point": (_fixed_point,),
    "truncation": (_truncation,),
    "whitening": (_whitening,),
}
