"""The clock of the wall may jump: nothing that is kept hangs on it."""

import ast
import pathlib
import time

from steppo_jax.metrics import Metrics
from steppo_jax.progress import Progress

PACKAGE = pathlib.Path(__file__).parents[2] / "steppo_jax"
# Files that may read it, and for what.
MAY = {
    "events.py": "TensorBoard's axis of wall time",
    "gateway/calls.py": "`created` of an answer, as its protocol has it",
    "gateway/pool.py": "when a trajectory was opened, for people",
    "chat/template.py": "the date in a chat template that asks for it",
}
CLOCKS = {"time.time", "datetime.datetime.now", "datetime.now", "time.localtime"}


def test_who_reads_the_clock():
    """Durations come from clocks that never go back."""
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in CLOCKS:
                found.add(str(path.relative_to(PACKAGE)))
    assert found <= set(MAY)


def test_metrics_under_a_jumping_clock(tmp_path, monkeypatch):
    """An hour back, a year ahead, before 1970: the lines are the same."""
    texts = []
    for place, jumps in enumerate(((0, 0, 0), (-3600, 3e7, -2e9))):
        workdir = tmp_path / str(place)
        bar = Progress("steppo", 3, start=0)
        numbers = Metrics(workdir, bar)
        for i, jump in enumerate(jumps):
            now = time.time() + jump
            with monkeypatch.context() as patch:
                patch.setattr(time, "time", lambda now=now: now)
                numbers.write(i, {"train/success": i / 3})
        numbers.close()
        bar.close()
        texts.append((workdir / "metrics.jsonl").read_text())
    assert texts[0] == texts[1]
