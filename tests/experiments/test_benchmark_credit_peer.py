"""`--what=credit --peer`: the two sides do the same work, or no time is told."""

import sys
import textwrap

import numpy as np
import pytest
from rich.console import Console

from steppo_jax import credit
from steppo_jax.benchmarks import credit_peer, tables
from steppo_jax.errors import Refused

FAKE = """
    import json, sys
    import numpy as np
    from steppo_jax.benchmarks import recursion
    folder, wrong = sys.argv[3], float(OFF)
    given = np.load(folder + "/given.npz")
    mask = given["mask"]
    assert mask.dtype.kind == "i" and given["trajectory"].dtype.kind == "U"
    numbers = float(given["gamma"]), float(given["lam"])
    for name in ("step_gae", "token_gae"):
        wide = given["reward"], mask, given["value"]
        found = getattr(recursion, name)(*wide, 16, *numbers)
        target = (found + given["value"][:, :1 if name == "step_gae" else None]) * mask
        counted = found[:, 0] if name == "step_gae" else found[mask > 0]
        white = (found - counted.mean()) / counted.std(ddof=1)
        np.savez(folder + f"/{name}.npz", white * mask + wrong, target)
    print(json.dumps({"torch": "0", "threads": 2, "given": sys.argv[4:]}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"wall": 100.0, "cpu": len(line)}), flush=True)
"""


def fake(folder, wrong: str) -> str:
    """An interpreter without torch that finds the same, or something else."""
    code = folder / "fake.py"
    code.write_text(textwrap.dedent(FAKE).replace("OFF", wrong))
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} {code} "$@"\n')
    python.chmod(0o755)
    return str(python)


def test_credit_stands_beside_a_peer_that_finds_the_same(tmp_path):
    found = credit_peer.run(fake(tmp_path, "0"), 3, 32, 8)
    assert found["peer"]["given"] == ["threads=0"]
    rows = {row["call"]: row for row in found["rows"]}
    assert [rows[x]["peer_limit"] for x in ("step_gae", "token_gae")] == [10, 30]
    for name, row in rows.items():
        assert row["apart"] < 1e-5
        assert row["times_peer"] == pytest.approx(100 / row["seconds"])
        cpu = (len(name) + 1) / row["cpu_seconds"]
        assert row["cpu_times_peer"] == pytest.approx(cpu)
    table = Console(width=tables.WIDTH, no_color=True)
    with table.capture() as shown:
        table.print(tables.of_credit_peer(found))
    assert "…" not in shown.get() and "token_gae" in shown.get()


def test_a_peer_that_finds_something_else_is_refused(tmp_path):
    with pytest.raises(Refused, match=r"step_gae of the peer .* by 0\.01"):
        credit_peer.run(fake(tmp_path, "0.01"), 3, 32, 8)


def test_trajectories_may_have_any_names():
    """Strings are numbered in the order they come in, numbers in their own."""
    reward_BL, mask_BL = np.eye(4, 3, dtype=np.float32), np.ones((4, 3))
    ids = ("b", "b", "a", "a"), ("x", "x", "y", "y"), (7, 7, 2, 2)
    kinds = [np.array(x, dtype) for x in ids for dtype in (object, None)]

    def of(ids_B, steps=(0, 1, 0, 1)):
        given = (reward_BL, mask_BL, ids_B, np.array(steps))
        value = {"value_BL": reward_BL / 2, "gamma": 0.9, "lam": 0.8}
        return credit.from_rows("token_gae", *given, **value)

    wanted = of(np.array([0, 0, 1, 1]))
    for ids_B in kinds:
        for x, y in zip(of(ids_B), wanted, strict=True):
            np.testing.assert_allclose(x, y, atol=1e-6)
        with pytest.raises(ValueError, match=f"trajectory .*{ids_B[2]}.*0 is followed"):
            of(ids_B, (0, 1, 0, 2))
