"""The direction of imports (docs/design.md), read from the import statements."""

import ast
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PACKAGE = ROOT / "steppo_jax"

# A module imports from rows above its own, and from its own package.
ROWS = (
    {"structs", "draws", "masked", "parallel", "vocabulary", "errors", "provenance"}
    | {"placement", "chips"},
    {"hlo", "mesh", "processes", "credit", "objective", "intervals", "records"}
    | {"stored_tree"},
    {"models", "envs", "layout", "packing", "panel_records", "truth", "hosts"},
    {"settings", "official_points", "actor", "learner", "trajectories", "anchors"}
    | {"weights", "engine"},
    {"methods", "evaluate", "warm_start", "chat"},
    {"panels", "checkpoint", "progress", "run_record", "recredit", "faults", "events"},
    {"metrics"},
    {"guards"},
    {"programs"},
    {"text"},
    {"assembly"},
    {"closing", "benchmarks", "fidelity", "memory", "ahead"},
    {"report", "comparison", "study"},
    {"pages"},
    {"train", "figures"},
    {"ablation", "gateway"},
)
ROW = {name: place for place, row in enumerate(ROWS) for name in row}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if path.parent != PACKAGE) + [
    path for path in sorted(PACKAGE.glob("*.py")) if path.name != "__init__.py"
]


def module(path: pathlib.Path) -> str:
    """The part of the package that a file belongs to: credit/base.py → credit."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: pathlib.Path) -> set[str]:
    """Dotted names that a file imports, `from a import b` as both a and a.b."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
    return found


def parts_used(path: pathlib.Path) -> set[str]:
    """The parts of steppo_jax that a file imports."""
    names = (n.split(".") for n in imported(path) if n.startswith("steppo_jax."))
    exists = {module(file) for file in FILES}
    return {parts[1] for parts in names} & exists


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_upwards_only(path):
    own = module(path)
    assert own in ROW, f"{own} has no row: give it one in ROWS and docs/design.md"
    for used in parts_used(path) - {own}:
        assert ROW[used] < ROW[own], f"{own} (row {ROW[own]}) imports {used}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_library_knows_neither_configs_nor_experiments(path):
    tops = {name.split(".")[0] for name in imported(path)}
    assert not tops & {"configs", "experiments", "tests", "scripts"}


def test_no_module_is_called_utils():
    folders = [PACKAGE, ROOT / "experiments", ROOT / "configs", ROOT / "tests"]
    names = {path.stem for folder in folders for path in folder.rglob("*.py")}
    assert not names & {"utils", "util", "common_utils", "helpers", "misc"}


def test_every_row_names_something_that_exists():
    assert set(ROW) <= {module(path) for path in FILES}


@pytest.mark.slow
def test_importing_starts_no_device_and_parses_no_flag():
    program = """
import importlib, pkgutil, sys
sys.argv = ["x", "--no_such_flag"]
import steppo_jax
for found in pkgutil.walk_packages(steppo_jax.__path__, "steppo_jax."):
    importlib.import_module(found.name)
import configs.household, experiments.entry
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized(), "a device was touched"
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
