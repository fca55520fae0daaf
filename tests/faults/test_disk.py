"""A full, write-protected or failing disk: one line, and what was there stays good."""

import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap

import jax.numpy as jnp
import pytest

from steppo_jax import errors, records
from steppo_jax.checkpoint import Checkpoints, NotSaved
from steppo_jax.events import Events

ROOT = pathlib.Path(__file__).parents[2]
UNSHARE = shutil.which("unshare")


def state(offset: float):
    return {"x": jnp.arange(50_000.0) + offset}


def small_disk(folder: pathlib.Path, program: str, options: str = "size=1m"):
    """Runs Python with a small file system of its own mounted at `folder`."""
    folder.mkdir(exist_ok=True)
    mount = f"mount -t tmpfs -o {options} tmpfs {folder} && exec {sys.executable} -c"
    command = [UNSHARE or "unshare", "-Urm", "sh", "-c", f'{mount} "$1"', "sh"]
    return subprocess.run(
        [*command, textwrap.dedent(program)],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )


def can_mount(folder: pathlib.Path) -> bool:
    try:
        return small_disk(folder, "pass").returncode == 0
    except OSError:
        return False


def test_records_on_a_full_disk_keep_every_whole_line(tmp_path):
    """A limit on the size of files, which every system has, stands for a full disk."""
    program = f"""
        import pathlib, resource, signal
        from steppo_jax import records
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
        file = records.Records(pathlib.Path({str(tmp_path / "m.jsonl")!r}))
        try:
            for i in range(100):
                file.append({{"iteration": i, "policy/loss": 0.123456789}})
        except OSError as error:
            print(error.errno, i)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    number, last = map(int, done.stdout.split())
    assert number in errors.DISK and last > 5
    found = records.read(tmp_path / "m.jsonl")
    assert [r["iteration"] for r in found] == list(range(last))
    with records.Records(tmp_path / "m.jsonl") as file:  # room again
        file.append({"iteration": last})
    assert len(records.read(tmp_path / "m.jsonl")) == last + 1


@pytest.mark.slow
def test_a_checkpoint_on_a_full_disk_is_one_line_and_the_last_one_is_good(tmp_path):
    disk = tmp_path / "disk"
    if not can_mount(disk):
        pytest.skip("no file systems may be mounted here")
    program = f"""
        import json, pathlib
        import jax.numpy as jnp
        from steppo_jax.checkpoint import Checkpoints, NotSaved
        from tests.faults.test_disk import state
        folder, said = pathlib.Path({str(disk)!r}) / "checkpoints", []
        checkpoints = Checkpoints(folder, keep=9)
        try:
            for i in range(1, 20):
                checkpoints.save(i, {{"x": jnp.arange(50_000.0) % 977.3 * i}})
            checkpoints.wait()
        except NotSaved as error:
            said.append(str(error))
        checkpoints.close()
        again = Checkpoints(folder, keep=9, say=lambda text: None)
        found = again.restore_latest(state(0))
        good = bool((found[1]["x"] == jnp.arange(50_000.0) % 977.3 * found[0]).all())
        again.close()
        print(json.dumps([said, found[0], good]))
    """
    done = small_disk(disk, program)
    assert done.returncode == 0, done.stderr
    said, found, good = json.loads(done.stdout.splitlines()[-1])
    assert len(said) == 1 and "could not be written (No space left" in said[0]
    assert "\n" not in said[0] and found >= 1 and good


def test_what_the_disk_said_is_found_behind_other_errors():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise ValueError("saving failed") from error
    except ValueError as error:
        assert errors.of_disk(error) == "No space left on device"
    assert errors.of_disk(ValueError("write: Disk quota exceeded [x]"))
    assert errors.of_disk(ValueError("shapes differ")) is None
    assert errors.of_disk(OSError(errno.EPIPE, "Broken pipe")) is None


def test_a_failed_save_is_one_line_and_closing_is_quiet(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(1, state(1))
    checkpoints.wait()

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoints._manager, "save", full)
    with pytest.raises(NotSaved, match=r"\(No space left on device\).*of \[1\]"):
        checkpoints.save(2, state(2))
    checkpoints.close()
    again = Checkpoints(tmp_path)
    assert again.restore_latest(state(0))[0] == 1
    again.close()


def test_a_defect_while_saving_stays_a_defect(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoints._manager, "save", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        checkpoints.save(1, state(1))
    checkpoints.close()


@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="Linux only")
def test_events_on_a_full_disk_raise_and_do_not_wait(tmp_path):
    """A writing thread would die of it, and its queue block the eleventh event."""
    events = Events(tmp_path, 0)
    events._file._py_recordio_writer._writer.close()
    events._file._py_recordio_writer._writer = open("/dev/full", "wb")  # noqa: SIM115
    with pytest.raises(OSError, match="No space left"):
        events.write(0, {"policy/loss": 1.0})


@pytest.mark.slow
def test_an_entry_point_says_so_in_one_line(tmp_path):
    program = """
        import errno, sys
        from experiments import entry
        def main():
            raise OSError(errno.EROFS, "Read-only file system", "run/metrics.jsonl")
        sys.argv = ["train"]
        entry.launch(main)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: Read-only file system (run/metrics.jsonl); mend")
