"""The table against numbers worked out by hand."""

import csv
import io
import math

import pytest

from steppo_jax.ablation import table

T4 = 2.7764451  # Student's t, .975, 4 degrees of freedom


def record(cell, seed, success, environment="household", greedy=0.5):
    after = {"sampled": {"success": success}, "greedy": {"success": greedy}}
    unseen = {"before": {"sampled": {"success": 0.1}}, "after": after}
    seen = {"before": {}, "after": {"sampled": {"success": 0.9}}}
    return {
        "cell": cell,
        "seed": seed,
        "environment": {"name": environment, "version": "1"},
        "rollout_seconds": 30.0,
        "update_seconds": 90.0,
        "panels": {"seen": seen, "unseen": unseen},
    }


BASE = [record("base", s, x) for s, x in enumerate((0.5, 0.6, 0.7, 0.8, 0.9))]
GAPS = (0.01, 0.02, 0.03, 0.04, 0.05)
OTHER = [record("other", s, 0.5 + s / 10 + gap) for s, gap in enumerate(GAPS)]


def test_means_and_paired_differences():
    base, other = table.rows(BASE + OTHER)
    assert (base.cell, base.base, base.difference) == ("base", "", None)
    assert base.after.value == pytest.approx(0.7)
    assert base.after.high - 0.7 == pytest.approx(T4 * math.sqrt(0.025) / math.sqrt(5))
    assert base.before.value == 0.1 and base.greedy.value == 0.5
    assert base.minutes.value == 2
    # Paired: the seeds' own spread falls out, only that of the gaps is left.
    assert (other.base, other.paired) == ("base", 5)
    assert other.difference.value == pytest.approx(0.03)
    half = T4 * math.sqrt(0.00025) / math.sqrt(5)
    assert other.difference.high - 0.03 == pytest.approx(half, rel=1e-5)
    assert half < other.detectable < 2 * half


def test_only_common_seeds_are_paired():
    rows = table.rows([*BASE[:3], *OTHER[1:], record("third", 7, 0.5)])
    assert [row.paired for row in rows] == [0, 2, 0]
    assert rows[1].difference.value == pytest.approx(0.025)
    assert rows[2].difference is None and rows[2].detectable is None


def test_each_environment_has_its_own_base_and_table():
    shop = [record("shop-a", 0, 0.2, "shop"), record("shop-b", 0, 0.3, "shop")]
    rows = table.rows([*BASE, *shop])
    assert rows[2].base == "shop-a"
    titles = [each.title for each in table.tables("x", rows)]
    assert len(titles) == 3  # household has one cell, so nothing to compare
    assert "shop" in titles[1] and "Differences to shop-a" in titles[2]
    assert table.tables("x", table.rows([])) == []


def test_the_panel_is_the_last_unless_asked_for():
    assert table.rows(BASE)[0].after.value == pytest.approx(0.7)
    assert table.rows(BASE, "seen")[0].after.value == pytest.approx(0.9)


def test_the_csv_has_every_bound():
    rows = table.rows(BASE + OTHER)
    found = list(csv.DictReader(io.StringIO(table.as_csv(rows))))
    assert [row["cell"] for row in found] == ["base", "other"]
    assert float(found[1]["difference_low"]) == rows[1].difference.low
    assert found[0]["difference"] == "" and found[0]["detectable"] == ""
