"""Metrics on disk, on resume, and on the console."""

import io
import math

import pytest

from steppo_jax import metrics, records
from steppo_jax import progress as progress_lines
from steppo_jax.metrics import Metrics
from steppo_jax.progress import Progress, clock_text


class Terminal(io.StringIO):
    def isatty(self):
        return True


def progress(total=4, **options):
    ticks = iter(range(0, 1000, 10))
    options = {"stream": io.StringIO(), "clock": lambda: next(ticks)} | options
    return Progress("household:steppo", total, **options)


def values(i):
    return {"train/success": i / 3, "train/return": i / 7, "time/update_seconds": 0.1}


def write(workdir, start, stop, bar=None):
    numbers = Metrics(workdir, bar or progress(), start=start)
    for i in range(start, stop):
        numbers.write(i, values(i))
    numbers.close()


def test_a_resumed_run_has_every_iteration_once(tmp_path):
    write(tmp_path / "a", 0, 4)
    write(tmp_path / "b", 0, 3)
    with (tmp_path / "b" / metrics.FILE).open("a") as file:
        file.write('{"iteration": 3, "train/succ')  # killed while writing
    write(tmp_path / "b", 2, 4)
    texts = [(tmp_path / run / metrics.FILE).read_bytes() for run in "ab"]
    assert texts[0] == texts[1]
    found = records.read(tmp_path / "a" / metrics.FILE)
    assert found == [{"iteration": i, **values(i)} for i in range(4)]


def test_missing_iterations_are_reported(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(
        metrics.logging, "warning", lambda text, *args: said.append(text % args)
    )
    write(tmp_path, 0, 2)
    write(tmp_path, 2, 3)
    assert said == []
    write(tmp_path, 5, 6)
    assert said == ["metrics.jsonl has 3 of 5 iterations"]


def test_events_are_written_and_purged_on_resume(tmp_path):
    write(tmp_path, 0, 2)
    folder = tmp_path / metrics.EVENTS
    first = {path: path.read_bytes() for path in folder.iterdir()}
    assert any(b"train/success" in data for data in first.values())
    resumed = Metrics(tmp_path, progress(), start=1)
    assert resumed._events.purge_step == 1
    resumed.close()


def test_numbers_that_are_not_finite_are_kept_in_the_file(tmp_path):
    numbers = Metrics(tmp_path, progress())
    numbers.write(0, {"policy/kl": math.nan, "critic/loss": None})
    numbers.close()
    text = (tmp_path / metrics.FILE).read_text()
    assert text == '{"iteration": 0, "policy/kl": "nan", "critic/loss": null}\n'


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("success", "group/name"),
        ("Train/success", "group/name"),
        ("train/success rate", "group/name"),
        ("train/rollout_seconds", "put it under time/"),
        ("train/tokens_per_second", "put it under time/"),
    ],
)
def test_names_outside_the_scheme_are_refused(tmp_path, name, says):
    numbers = Metrics(tmp_path, progress())
    with pytest.raises(ValueError, match=says):
        numbers.write(0, {name: 1.0})
    numbers.close()
    assert records.read(tmp_path / metrics.FILE) == []


def test_a_line_is_compact_and_ends_with_elapsed_and_eta():
    bar = progress(total=80)  # ten seconds between two looks at the clock
    first = bar.line(1, {"train/success": 0.25, "critic/explained_variance": -0.5})
    assert first == "household:steppo  1/80 success 0.250 ev -0.50 0:10<13:10"
    second = bar.line(2, {"train/success": 0.5, "policy/kl": None})
    assert second == "household:steppo  2/80 success 0.500 0:20<13:00"


def test_a_resumed_run_counts_only_its_own_time():
    assert progress(total=80, start=40).line(41, {}).endswith("41/80 0:10<6:30")


def test_lines_may_stand_for_many_rounds():
    bar = progress(total=100)
    assert bar.line(20, {}).endswith("20/100 0:10<0:40")
    assert bar.line(40, {}).endswith("40/100 0:20<0:30")


def test_the_eta_follows_the_recent_pace():
    times = iter([0, 1000, *range(1001, 1031)])  # the first round compiles
    bar = progress(total=100, clock=lambda: next(times))
    for done in range(1, 31):
        text = bar.line(done, {})
    assert text.endswith("17:09<1:10")


def test_batch_logs_get_plain_lines():
    stream = io.StringIO()
    bar = progress(stream=stream)
    bar.line(1, {"train/success": 0.25})
    bar.say("seen panel: 0.3")
    bar.close()
    assert stream.getvalue().count("\n") == 2
    assert "\r" not in stream.getvalue() and "\x1b" not in stream.getvalue()


def test_a_terminal_gets_a_bar_that_leaves_the_lines(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    bar = progress(stream=stream)
    bar.line(1, {"train/success": 0.25})
    bar.close()
    assert "\x1b" in stream.getvalue()
    assert "success 0.250" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (36610, "10:10:10")],
)
def test_clock_text(seconds, text):
    assert clock_text(seconds) == text


def test_a_long_part_says_how_far_it_is_and_a_short_one_nothing():
    now, said = [0.0], []
    watch = progress_lines.Watch(said.append, clock=lambda: now[0])
    tell = watch.over(8)
    for done, seconds in ((1, 5), (2, 12), (3, 20), (4, 45), (8, 90)):
        now[0] = seconds
        tell(done)
    assert said == ["  2/8 episodes  0:12<0:36", "  4/8 episodes  0:45<0:45"]
