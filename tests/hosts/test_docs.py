"""The family that docs/hosts.md shows is registered and plays in a worker."""

import importlib
import pathlib
import re

from steppo_jax import hosts
from steppo_jax.hosts.pool import Limits, Pool

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "hosts.md"


def test_the_family_in_the_docs_plays_in_a_worker(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    (tmp_path / "door_family.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(hosts._REGISTRY, "doors", "door_family:DoorFamily")
    importlib.invalidate_caches()
    family = hosts.make("doors", max_steps=3, variant=None)
    family.check()
    pool = Pool(family, 1, Limits(reset=20.0, step=20.0))
    pool.reset(0, None, {"panel": "train", "task": 1})
    (seen,) = pool.poll(20.0)
    assert seen.observation.startswith("Task: Find the right door.\nPossible: open")
    pool.step(0, seen.info["expert"])
    (seen,) = pool.poll(20.0)
    pool.close()
    assert seen.reward == 1 and seen.terminated
    assert seen.info["outcome"]["golden_steps"] == 1


def test_every_family_stands_in_the_docs():
    text = DOCS.read_text()
    assert all(f"`{name}.py`" in text for name in hosts.names())
