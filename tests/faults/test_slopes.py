"""What grows is found, what only wavers is not."""

import numpy as np
import pytest

from tests.faults import runs, slopes


def log(**grows):
    """500 samples, two seconds and ten iterations apart, that waver and may grow."""
    rng, out = np.random.default_rng(0), []
    cpu = 0.0
    for i in range(500):
        cpu += 1.0 + grows.get("cpu", 0.0) * i + rng.normal(0, 0.1)
        out.append(
            {
                "seconds": 2.0 * i,
                "iteration": 10 * i,
                "cpu_seconds": cpu,
                "mib": 600 + rng.normal(0, 5) + grows.get("mib", 0.0) * i,
                "threads": 20 + rng.integers(0, 8) + grows.get("threads", 0.0) * i,
                "files": 9 + rng.integers(0, 8),
                "children": 0,
            }
        )
    return out


def test_what_wavers_has_not_grown():
    found = slopes.summary(log())
    assert found["grown"] == [] and found["iterations"] == [1000, 4990]
    assert abs(found["mib"]["mean"] - 600) < 1
    low, high = found["mib"]["slope_per_hour"][1:]
    assert low < 0 < high


@pytest.mark.parametrize(
    ("name", "each", "column"),
    [
        ("mib", 0.3, "mib"),
        ("threads", 0.01, "threads"),
        ("cpu", 0.002, "cpu_seconds_per_iteration"),
    ],
)
def test_what_grows_is_named(name, each, column):
    found = slopes.summary(log(**{name: each}))
    assert found["grown"] == [column]


def test_the_slope_of_a_line_is_exact():
    at = np.arange(100.0)
    found = slopes.slope(at, 3 * at + 1)
    assert found.value == pytest.approx(3) and found.high - found.low < 1e-6


def test_half_written_files_are_found(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "iteration_000001.part").write_text("")
    (tmp_path / "steppo_jax_workers_x").mkdir()
    assert len(runs.left_behind(tmp_path)) == 2
