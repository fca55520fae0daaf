"""The pages: everything on them, nothing from outside, and no text becomes markup."""

import html.parser
import json
import re

import pytest

from steppo_jax import records, report, run_record, trajectories
from steppo_jax.figures import page, registry
from steppo_jax.figures.result import Missing
from steppo_jax.pages import episodes, rendering, run_page
from tests.study import made_up
from tests.study.test_store import folder
from tests.test_recredit import episode

EVIL = "</script><img src=x onerror=alert(1)>\"'&{{7*7}}<!--"


class Reader(html.parser.HTMLParser):
    """Elements, and every address that a page would load."""

    def __init__(self, text: str):
        super().__init__()
        self.seen, self.addresses, self.handlers, self.text = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "srcset", "data", "action"):
                self.addresses.append(value)
            if name.startswith("on"):
                self.handlers.append(value)

    def handle_data(self, data):
        self.text.append(data)


def hostile_run(workdir):
    """A run folder whose every string attacks the page."""
    folder(workdir)
    path = workdir / run_record.FILE
    record = records.loads(path.read_text())
    record["config"]["preset"] = f"household:{EVIL}"
    record["commit"] = f"{EVIL}+changes"
    record["devices"] = [EVIL]
    record["environment"]["version"] = EVIL
    path.write_text(records.dumps(record))
    one = episode([0, 1.0])
    for step in one["steps"]:
        step["observation"] = f"{EVIL}\n{EVIL}"
        step["response"] = f"{EVIL} {EVIL}"
    trajectories.write(workdir, 3, [one])
    panel = workdir / "eval" / "seen.jsonl"
    panel.rename(workdir / "eval" / "<b>seen.jsonl")
    return workdir


@pytest.fixture(scope="module")
def run_text(tmp_path_factory):
    workdir = hostile_run(tmp_path_factory.mktemp("run"))
    return run_page.write(workdir).read_text()


@pytest.fixture(scope="module")
def ablation_text(tmp_path_factory):
    runs = [
        run
        for name in ("steppo", "ppo")
        for run in made_up.seeds(2, name, cell=f"{EVIL}{name}")
    ]
    found = registry.FIGURES["cost"](runs)
    missing = [Missing("<b>x", EVIL, EVIL)]
    path = tmp_path_factory.mktemp("out") / page.NAME
    svg = rendering.svg_text(found.draw())
    return page.write(path, runs, [(found, svg)], missing).read_text()


@pytest.mark.parametrize("name", ["run_text", "ablation_text"])
def test_text_never_becomes_markup(name, request):
    text = request.getfixturevalue(name)
    reader = Reader(text)
    assert set(reader.seen) <= {
        *("html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p"),
        *("nav", "a", "div", "b", "i", "span", "table", "thead", "tbody", "tr", "th"),
        *("td", "img", "label", "select", "option", "input", "section", "script"),
        *("details", "summary", "code", "pre", "ul", "li", "br"),
    }
    assert reader.handlers == [] and "49" not in "".join(re.findall("{{.*", text))
    assert all(
        a.startswith(("#", "data:image/svg+xml;base64,")) for a in reader.addresses
    )
    assert reader.seen.count("script") == (2 if name == "run_text" else 0)
    assert "onerror=alert(1)>" not in text and "&lt;img src=x" in text


@pytest.mark.parametrize("name", ["run_text", "ablation_text"])
def test_nothing_is_loaded_from_outside(name, request):
    text = request.getfixturevalue(name)
    assert "default-src 'none'" in text
    outside = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert outside == set()


def test_a_run_s_page_has_panels_steps_and_settings(run_text):
    assert "66.7 %" in run_text and run_text.count('class="step"') == 2
    assert "credit.estimator" in run_text and "iterations" in run_text
    numbers = json.loads(
        re.search(r'id="numbers" type="application/json">(.*?)</script>', run_text)[1]
    )
    by_place = dict(enumerate(re.findall(r"<option value=\"\d+\">([\w ]+)", run_text)))
    token = next(i for i, name in by_place.items() if name.startswith("token_gae"))
    assert len(numbers) == 1 and len(numbers[0]) == len(by_place)
    assert [len(step) for step in numbers[0][token]["tokens"][0]] == [2, 2]
    assert all(len(one["steps"][0]) == 2 for one in numbers[0])


def test_every_switch_has_its_own_scale(tmp_path):
    workdir = hostile_run(tmp_path)
    shown = episodes.of_run(workdir, run_record.load(workdir)[0])
    for one in shown["numbers"][0]:
        largest = max(abs(a) for e in one["steps"] for a in e)
        assert one["scale"] == (largest or 1.0)
    assert shown["estimators"][0][0] == episodes.TRAINED
    assert shown["left_out"], "a group of one leaves some out"


def test_the_page_of_a_run_that_has_just_begun(tmp_path):
    folder(tmp_path, done=0)
    text = run_page.write(tmp_path).read_text()
    assert "Fewer than two iterations" in text and "stored no episodes" in text


def test_the_ablation_s_page_has_cells_comparisons_and_commands(ablation_text):
    assert ablation_text.count("detectable") >= 2
    assert "does not show" in ablation_text and "not corrected" in ablation_text
    assert "Figures that these runs do not allow" in ablation_text
    assert "0123456789ab" in ablation_text and "rollout_seconds" in ablation_text


def test_the_same_files_give_the_same_page(tmp_path):
    folder(tmp_path)
    first = run_page.write(tmp_path).read_bytes()
    assert run_page.write(tmp_path).read_bytes() == first
    assert all(path.exists() for path in report.write(tmp_path))


def test_a_task_line_is_not_repeated_at_every_step():
    flowing = episodes._flowing
    assert flowing("the task\nYou see.\nA list", "the task") == "You see. A list"
    assert flowing("a\nb", "the task") == "a · b"
