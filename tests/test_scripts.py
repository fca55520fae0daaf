"""scripts/environment.sh: finds a Python, installs once, again only after a change."""

import os
import pathlib
import shutil
import stat
import subprocess

import pytest

SCRIPTS = pathlib.Path(__file__).parent.parent / "scripts"
BASH = shutil.which("bash")

# Stands for python3.12: answers the version question, makes a .venv with itself in
# it, and writes down what pip was asked for.
FAKE = """#!/bin/sh
case "$*" in
  "-m venv .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  *pip*) echo "$*" >>pip.log ;;
  --version) echo "Python 3.12.1" ;;
esac
"""


@pytest.fixture
def project(tmp_path):
    """A folder with what environment.sh looks at, and a PATH with the fake Python."""
    (tmp_path / "setup.py").write_text("1")
    (tmp_path / "constraints.txt").write_text("a==1")
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("cat", "cksum", "mkdir", "cp", "rm", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    return tmp_path


def add_python(project, text=FAKE, name="python3.12"):
    path = project / "tools" / name
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def source(project) -> subprocess.CompletedProcess:
    command = f"set -euo pipefail; source {SCRIPTS / 'environment.sh'}; echo ready"
    outer = {k: v for k, v in os.environ.items() if k != "STEPPO_ENVIRONMENT"}
    return subprocess.run(
        [BASH, "-c", command],
        cwd=project,
        env={**outer, "PATH": str(project / "tools")},
        capture_output=True,
        text=True,
    )


def installs(project) -> list[str]:
    log = project / "pip.log"
    return log.read_text().splitlines() if log.exists() else []


def test_packages_are_installed_once(project):
    add_python(project)
    for _ in range(2):
        done = source(project)
        assert done.returncode == 0 and done.stdout.endswith("ready\n"), done.stderr
    assert len(installs(project)) == 1
    assert "-c constraints.txt -e .[test]" in installs(project)[0]


@pytest.mark.parametrize("name", ["setup.py", "constraints.txt"])
def test_a_change_installs_again(project, name):
    add_python(project)
    source(project)
    (project / name).write_text("changed")
    source(project)
    assert len(installs(project)) == 2


def test_an_install_that_failed_is_tried_again(project):
    add_python(project, FAKE.replace(">>pip.log", ">>pip.log; exit 1"))
    assert source(project).returncode != 0
    assert source(project).returncode != 0
    assert len(installs(project)) == 2


def test_an_old_python_is_passed_over(project):
    add_python(project, "#!/bin/sh\nexit 1\n", "python3.12")  # a shim, or too old
    add_python(project, FAKE, "python3.11")
    assert source(project).returncode == 0


def test_no_python_is_one_clear_line(project):
    done = source(project)
    assert done.returncode == 1
    assert done.stderr.startswith("error: no Python 3.11 or newer")
    assert done.stderr.count("\n") == 1 and not (project / ".venv").exists()


@pytest.mark.parametrize("script", sorted(SCRIPTS.glob("*.sh")), ids=lambda p: p.name)
def test_scripts_are_bash(script):
    subprocess.run([BASH, "-n", script], check=True)


def audit(tmp_path, fake: str | None, **more) -> subprocess.CompletedProcess:
    """scripts/audit.sh where pip-audit is `fake`, or is not there."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("dirname", "timeout", "grep", "sh"):
        (tools / name).symlink_to(shutil.which(name))
    if fake is not None:
        add_python(tmp_path, f"#!/bin/sh\n{fake}\n", "pip-audit")
    return subprocess.run(
        [BASH, str(SCRIPTS / "audit.sh")],
        env={**os.environ, "PATH": str(tools), **more},
        capture_output=True,
        text=True,
    )


HOLE = "echo Found 1 known vulnerability in 1 package; exit 1"


@pytest.mark.parametrize(
    ("fake", "says"),
    [
        (None, "not installed"),
        ("exit 0", "no known vulnerability"),
        ("echo ConnectionError; exit 1", "no answer (offline?)"),
        ("sleep 9", "no answer"),
        (HOLE, "Found 1 known"),
    ],
)
def test_an_audit_never_stops_the_tests(tmp_path, fake, says):
    done = audit(tmp_path, fake, AUDIT_SECONDS="1")
    assert done.returncode == 0 and says in done.stdout, done.stderr


def test_a_strict_audit_fails_on_a_hole_only(tmp_path):
    assert audit(tmp_path, HOLE, STRICT="1").returncode == 1
