"""What the code never does: run data as code. Read from the syntax trees."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FOLDERS = ("steppo_jax", "experiments", "configs", "tests")
FILES = sorted(p for folder in FOLDERS for p in (ROOT / folder).rglob("*.py"))
# Modules whose reading of data runs code, and functions that do.
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__"}
# A method of that name is another thing: jitted.lower(…).compile(), re.compile(…).
METHODS = {"unsafe_load", "literal_eval"}
SHELL = {"os.system", "os.popen"}


def faults(tree: ast.AST) -> list[str]:
    """What a file does of these, with the line."""
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [a.name.split(".")[0] for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [(node.module or "").split(".")[0]]
        found += [f"{node.lineno}: import {n}" for n in names if n in MODULES]
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in CALLS | SHELL or called.rpartition(".")[2] in METHODS:
            found.append(f"{node.lineno}: {called}()")
        for keyword in node.keywords:
            true = isinstance(keyword.value, ast.Constant) and keyword.value.value
            if keyword.arg in ("allow_pickle", "shell", "trust_remote_code") and true:
                found.append(f"{node.lineno}: {keyword.arg}=True")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_file_runs_data_as_code(path):
    assert faults(ast.parse(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "exec(text)",
        "numpy.load(path, allow_pickle=True)",
        "subprocess.run(text, shell=True)",
        "os.system(text)",
        "yaml.unsafe_load(text)",
    ],
)
def test_each_of_them_would_be_found(text):
    assert faults(ast.parse(text))


def test_what_only_sounds_alike_is_fine():
    text = "re.compile(x); jitted.compile(); numpy.load(x, allow_pickle=False)"
    assert faults(ast.parse(text)) == []
