"""Who may write into a run folder, and what it says about itself."""

import subprocess
import sys
import textwrap

import pytest

from configs import household
from steppo_jax import provenance, records, run_record
from steppo_jax.errors import Refused
from steppo_jax.run_record import Run, WorkdirError


def test_a_run_describes_itself_completely(tmp_path):
    config = household.get_config("ppo,seed=3")
    with Run(tmp_path / "run", config, "7") as run:
        assert not run.resumed
    loaded, record = run_record.load(tmp_path / "run")
    assert loaded.to_dict() == config.to_dict()
    assert record["environment"] == {"name": "household", "version": "7"}
    assert {"jax", "flax", "optax", "steppo_jax"} <= set(record["packages"])
    assert record["devices"] and record["python"]
    with Run(tmp_path / "run", config, "7") as run:
        assert run.resumed


def test_a_changed_configuration_is_refused_with_the_difference(tmp_path):
    Run(tmp_path, household.get_config(), "1").close()
    before = (tmp_path / run_record.FILE).read_bytes()
    changed = household.get_config("steppo,seed=5,eval.panels=seen")
    with pytest.raises(WorkdirError) as error:
        Run(tmp_path, changed, "1")
    text = str(error.value)
    assert "config.seed: the run has 0, now 5" in text
    assert "config.eval.panels: the run has ['seen', 'unseen'], now ['seen']" in text
    assert "another workdir" in text and "\n" not in text
    assert (tmp_path / run_record.FILE).read_bytes() == before
    Run(tmp_path, household.get_config(), "1").close()  # the refusal freed the lock


def test_a_record_without_its_number_of_iterations_is_no_record(tmp_path):
    Run(tmp_path, household.get_config(), "1").close()
    path = tmp_path / run_record.FILE
    record = records.loads(path.read_text())
    record["config"]["iterations"] = None
    path.write_text(records.dumps(record))
    with pytest.raises(WorkdirError, match=r"iterations is no number"):
        Run(tmp_path, household.get_config(), "1")


def test_more_iterations_are_no_other_run(tmp_path):
    Run(tmp_path, household.get_config("steppo,iterations=20"), "1").close()
    before = (tmp_path / run_record.FILE).read_bytes()
    with Run(tmp_path, household.get_config("steppo,iterations=40"), "1") as run:
        assert run.changes == ["config.iterations: the run has 20, now 40"]
        assert (tmp_path / run_record.FILE).read_bytes() == before  # not known to fit
        run.accept()
    loaded, record = run_record.load(tmp_path)
    assert loaded.iterations == 40 and record["changes"] == run.changes
    with pytest.raises(WorkdirError, match="iterations: the run has 40, now 20"):
        Run(tmp_path, household.get_config("steppo,iterations=20"), "1")
    with Run(tmp_path, household.get_config("steppo,iterations=40"), "1") as run:
        assert run.changes == [] and run.record["changes"] == record["changes"]


def test_changes_can_be_accepted_and_are_written_down(tmp_path):
    Run(tmp_path, household.get_config("steppo,iterations=20"), "1").close()
    changed = household.get_config("steppo,iterations=30,policy.grad_clip=0.5")
    with pytest.raises(WorkdirError, match=r"grad_clip: .*--accept_changes") as error:
        Run(tmp_path, changed, "1")
    assert "iterations" not in str(error.value)  # that one is no reason
    with Run(tmp_path, changed, "2", accept_changes=True) as run:
        run.accept()
    _, record = run_record.load(tmp_path)
    assert record["environment"]["version"] == "2"
    assert [x.split(":")[0] for x in record["changes"]] == [
        "config.iterations",
        "config.policy.grad_clip",
        "environment.version",
    ]
    with Run(tmp_path, changed, "3", accept_changes=True) as run:
        run.accept()
    assert len(run_record.load(tmp_path)[1]["changes"]) == 4


def test_a_changed_environment_is_refused(tmp_path):
    Run(tmp_path, household.get_config(), "1").close()
    with pytest.raises(WorkdirError, match="version: the run has '1', now '2'"):
        Run(tmp_path, household.get_config(), "2")
    _, record = run_record.load(tmp_path)
    run_record.check_environment(record, "1")
    with pytest.raises(WorkdirError, match="made with '1', this code has '2'"):
        run_record.check_environment(record, "2")


def test_other_packages_are_a_warning(tmp_path, monkeypatch):
    Run(tmp_path, household.get_config(), "1").close()
    said = []
    monkeypatch.setattr(
        run_record.logging, "warning", lambda text, *args: said.append(text % args)
    )
    path = tmp_path / run_record.FILE
    path.write_text(path.read_text().replace('"flax": "0.', '"flax": "9.'))
    Run(tmp_path, household.get_config(), "1").close()
    assert len(said) == 1 and "packages.flax: the run has '9." in said[0]


def test_a_second_writer_is_refused(tmp_path):
    first = Run(tmp_path, household.get_config(), "1")
    with pytest.raises(WorkdirError, match=r"in use by process \d+ on .*; wait"):
        Run(tmp_path, household.get_config(), "1")
    first.close()
    Run(tmp_path, household.get_config(), "1").close()


@pytest.mark.slow
def test_the_lock_dies_with_its_process(tmp_path):
    program = f"""
        import pathlib, time
        from steppo_jax import run_record
        lock = run_record.lock(pathlib.Path({str(tmp_path)!r}))
        print("held", flush=True)
        time.sleep(60)
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        try:
            with pytest.raises(WorkdirError, match=f"process {process.pid} "):
                run_record.lock(tmp_path)
        finally:
            process.kill()
    run_record.lock(tmp_path).close()


def test_folders_that_cannot_be_written_are_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WorkdirError, match=r"file/run cannot be written \(Not a dir"):
        Run(tmp_path / "file" / "run", household.get_config(), "1")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"config": 3}', '{"config": {"seed": 1}}', '{"config": {}}'],
)
def test_a_damaged_record_is_refused_in_one_line(tmp_path, text):
    (tmp_path / run_record.FILE).write_text(text)
    with pytest.raises(WorkdirError, match=r"config\.json cannot be read") as error:
        run_record.load(tmp_path)
    assert "\n" not in str(error.value)
    with pytest.raises(WorkdirError):
        Run(tmp_path, household.get_config(), "1")


def test_leftovers_of_a_run_without_its_record_are_refused(tmp_path):
    (tmp_path / "checkpoints" / "0").mkdir(parents=True)
    with pytest.raises(WorkdirError, match="has checkpoints of a run but no config"):
        Run(tmp_path, household.get_config(), "1")
    assert not (tmp_path / run_record.FILE).exists()


def test_a_run_that_could_not_begin_leaves_the_folder_free(tmp_path):
    (tmp_path / "checkpoints").mkdir()  # made before its size was known

    def too_large():
        raise Refused("too large")

    with Run(tmp_path, household.get_config(), "1") as run, pytest.raises(Refused):
        run.unless_refused(too_large)
    with Run(tmp_path, household.get_config("ppo"), "1") as run:
        assert not run.resumed


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(WorkdirError, match="no run was started there"):
        run_record.load(tmp_path)


def test_the_commit_is_that_of_this_checkout_or_nothing():
    commit = provenance.git_commit()
    assert commit is None or len(commit.removesuffix("+changes")) == 40


def test_the_record_is_valid_json_for_others(tmp_path):
    Run(tmp_path, household.get_config(), "1").close()
    text = (tmp_path / run_record.FILE).read_text()
    assert records.loads(text)["config"]["preset"] == "household:steppo"
