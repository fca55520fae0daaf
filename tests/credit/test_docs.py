"""docs/estimators.md: its table is the registry's, its example runs."""

import importlib.util
import pathlib
import re

import numpy as np
from numpy.testing import assert_allclose

from steppo_jax import credit
from steppo_jax.credit import registry

DOC = pathlib.Path(__file__).parents[2] / "docs" / "estimators.md"


def test_the_table_is_that_of_the_registry():
    assert credit.table() in DOC.read_text(encoding="utf-8"), (
        "docs/estimators.md is old: put the output of steppo_jax.credit.table() there"
    )


def test_the_estimator_of_the_docs_is_one_short_file(tmp_path, monkeypatch):
    blocks = re.findall(r"```python\n(.*?)```", DOC.read_text("utf-8"), re.DOTALL)
    (code,) = (block for block in blocks if "ESTIMATOR" in block)
    assert len(code.splitlines()) < 60
    path = tmp_path / "reward_to_go.py"
    path.write_text(code, encoding="utf-8")
    spec = importlib.util.spec_from_file_location("reward_to_go", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    monkeypatch.setattr(registry, "_ESTIMATORS", dict(registry._ESTIMATORS))
    credit.register(module.ESTIMATOR)
    assert "reward_to_go" in credit.names()
    # Returns with γ = ½: steps of a have ½·2 = 1 and 2, b has 6; mean 3.
    advantage, target = credit.from_rows(
        "reward_to_go",
        np.array([[0.0], [2.0], [6.0]]),
        np.ones((3, 1)),
        ["a", "a", "b"],
        [0, 1, 0],
        group_id_B=[7, 7, 7],
        gamma=0.5,
        official=False,
    )
    assert_allclose(target[:, 0], [1, 2, 6])
    assert_allclose(advantage[:, 0], [-2, -1, 3], rtol=1e-6)
