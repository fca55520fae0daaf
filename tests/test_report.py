"""The learning curve, panel records and the closing table, from made-up records."""

import io

import numpy as np
import pytest
from rich.console import Console

from configs import household
from steppo_jax import closing, metrics, panel_records, records, report
from steppo_jax.metrics import Metrics
from steppo_jax.panel_records import Kind
from steppo_jax.progress import Progress
from steppo_jax.run_record import Run

PNG = b"\x89PNG\r\n\x1a\n"


def outcome(success):
    success = np.asarray(success, float)
    return {"success": success, "return": success, "steps": 3 + success}


def play(workdir, panel, kind, success):
    golden = np.full(len(success), 2)
    path = workdir / panel_records.FOLDER / f"{panel}.jsonl"
    panel_records.write(path, kind, outcome(success), golden)


def made_up_run(workdir, method="steppo", iterations=12, skip=()):
    Run(workdir, household.get_config(method), "1").close()
    names = {metrics.SUCCESS, metrics.TOKENS, metrics.EXPLAINED_VARIANCE} - set(skip)
    numbers = Metrics(workdir, Progress("x", iterations, stream=io.StringIO()))
    for i in range(iterations):
        numbers.write(i, {name: i / 20 for name in names})
    numbers.close()
    for panel in ("seen", "unseen"):
        play(workdir, panel, Kind(0, "sampled", 0), [0, 0, 0, 1])
        play(workdir, panel, Kind(iterations, "sampled", 0), [1, 0, 1, 1])
    return workdir


@pytest.mark.parametrize(
    ("method", "skip"),
    [
        ("steppo", ()),
        ("grpo", (metrics.EXPLAINED_VARIANCE,)),
        ("grpo", (metrics.EXPLAINED_VARIANCE, metrics.TOKENS, metrics.SUCCESS)),
    ],
)
def test_a_picture_is_drawn(tmp_path, method, skip):
    paths = report.write(made_up_run(tmp_path, method, skip=skip))
    assert [p.name for p in paths] == ["learning_curve.png", "learning_curve.svg"]
    data = paths[0].read_bytes()
    assert data.startswith(PNG) and len(data) > 10_000
    assert "</svg>" in paths[1].read_text()


def test_a_run_that_has_just_begun_can_be_drawn(tmp_path):
    Run(tmp_path, household.get_config(), "1").close()
    assert all(path.exists() for path in report.write(tmp_path))


def test_the_same_records_give_the_same_picture(tmp_path):
    made_up_run(tmp_path)
    first = [path.read_bytes() for path in report.write(tmp_path)]
    assert first == [path.read_bytes() for path in report.write(tmp_path)]


def test_the_picture_shows_what_the_records_say(tmp_path):
    made_up_run(tmp_path, iterations=12)
    lines = records.read(tmp_path / metrics.FILE)
    figure = report.draw(lines, panel_records.read(tmp_path), "a title")
    main, tokens, variance = figure.axes
    assert main.get_title(loc="left") == "a title"
    raw, smoothed = main.lines[:2]
    np.testing.assert_allclose(raw.get_xdata(), np.arange(1, 13))
    np.testing.assert_allclose(raw.get_ydata(), np.arange(12) / 20)
    assert "training" in smoothed.get_label()
    points = [bar.lines[0].get_ydata() for bar in main.containers]
    np.testing.assert_allclose(points, [[0.25, 0.75]] * 2)
    assert tokens.get_title(loc="left") == "tokens per response"
    assert "explained variance" in variance.get_title(loc="left")


def test_smoothing_by_hand():
    found = report.smooth([1, 2, 3, np.nan, 5], window=3)
    np.testing.assert_allclose(found, [1.5, 2, 2.5, 4, 5])
    assert np.isnan(report.smooth([np.nan, np.nan, np.nan, 1], window=3)[:2]).all()


def test_the_title_names_preset_seed_and_commit():
    config = {"preset": "household:ppo", "seed": 4}
    text = report.title({"config": config, "commit": "0123456789abcdef+changes"})
    assert text == "household:ppo   seed 4   commit 01234567+changes"
    assert "no commit" in report.title({"config": config, "commit": None})


def test_an_evaluation_made_twice_counts_once(tmp_path):
    path = tmp_path / panel_records.FOLDER / "seen.jsonl"
    play(tmp_path, "seen", Kind(0, "sampled", 0), [0, 1])
    play(tmp_path, "seen", Kind(5, "sampled", 0), [1, 1])
    before = path.read_bytes()
    play(tmp_path, "seen", Kind(0, "sampled", 0), [0, 1])
    assert path.read_bytes() == before
    play(tmp_path, "seen", Kind(0, "greedy", 0), [1, 1])
    kinds = [s.kind for s in panel_records.read(tmp_path)["seen"]]
    assert kinds == [Kind(0, "greedy", 0), Kind(0, "sampled", 0), Kind(5, "sampled", 0)]


def test_a_summary_by_hand(tmp_path):
    play(tmp_path, "seen", Kind(3, "sampled", 1), [0, 0, 1, 1])
    (summary,) = panel_records.read(tmp_path)["seen"]
    assert summary.episodes == 4 and summary.success.value == 0.5
    assert summary.success.low == pytest.approx(0.15, abs=1e-3)  # Wilson, 2 of 4
    assert (summary.steps, summary.golden_steps) == (3.5, 2.0)


def test_evaluations_after_a_resume_point_are_dropped(tmp_path):
    for iteration in (0, 5, 10):
        play(tmp_path, "seen", Kind(iteration, "sampled", 0), [0, 1])
    panel_records.truncate(tmp_path, 5)
    found = panel_records.read(tmp_path)["seen"]
    assert [s.kind.iteration for s in found] == [0, 5]


def test_columns_of_different_length_are_refused(tmp_path):
    with pytest.raises(ValueError, match="one value per task"):
        panel_records.write(
            tmp_path / "seen.jsonl", Kind(0, "sampled", 0), outcome([0, 1]), [2]
        )


def shown(renderable=None, workdir=None) -> str:
    console = Console(file=io.StringIO(), width=80)
    if workdir is None:
        console.print(renderable)
    else:
        closing.show(workdir, console)
    return console.file.getvalue()


def test_the_closing_text_says_before_after_and_where(tmp_path):
    report.write(made_up_run(tmp_path))
    text = shown(workdir=tmp_path)
    assert "25.0 % [4.6, 69.9]" in text and "75.0 % [30.1, 95.4]" in text
    assert "unseen" in text and "sampled" in text and "…" not in text
    assert "learning_curve.png" in text and "checkpoints" not in text


def test_the_table_of_an_evaluation_says_how_it_decoded(tmp_path):
    play(tmp_path, "unseen", Kind(80, "greedy", 0), [0, 0, 1, 1] * 128)
    text = shown(closing.panel_table(panel_records.read(tmp_path)["unseen"]))
    assert "after 80 iterations" in text and "greedy decoding" in text
    assert "50.0 % [45.7, 54.3]" in text and "0.50 [0.46, 0.54]" in text
    assert "…" not in text, "it fits 80 columns"
    play(tmp_path, "seen", Kind(80, "sampled", 3), [0, 1])
    seen = panel_records.read(tmp_path)["seen"]
    assert "sampled decoding, seed 3" in shown(closing.panel_table(seen))
