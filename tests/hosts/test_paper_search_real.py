"""Paper search: pay, penalties, what is shown, and the files in small."""

import math

import pytest

from steppo_jax.errors import Refused
from steppo_jax.hosts.paper_search_real import PaperSearchReal, library
from tests.hosts.data_cases import need, play, write

need("bm25s")


def query(**changes):
    return {
        "question": "works on red\nfoxes",
        "answer": ["Red foxes", "Foxes of  the north", "Hidden dens"],
        "answer_arxiv_id": ["1001.00001v2", "1001.00002", "1001.00003"],
        "source_meta": {"published_time": "20200101"},
        "qid": "q0",
        **changes,
    }


def paper(i: int, title: str, **changes):
    return {"arxiv_id": f"1001.{i:05d}", "title": title, **changes}


PAPERS = [
    paper(1, "Red foxes", abstract="Red ones.", references=["1001.00003", "x/1"]),
    paper(2, "Foxes of the north"),
    paper(3, "Hidden dens", abstract="Dens dug by foxes.", references=["1001.00004"]),
    paper(4, "Blue whales", references=["1001.00001"]),
    paper(5, "Red foxes revisited", published="20210101"),
    paper(6, "Green foxes", published="20190101", citations=["1001.00002"]),
]


@pytest.fixture
def folder(tmp_path):
    write(tmp_path / "RealScholarQuery" / "test.jsonl", [query()])
    write(tmp_path / "papers.jsonl", PAPERS)
    return tmp_path


def family(folder, **settings):
    return PaperSearchReal(data=str(folder), **{"tools": False} | settings)


def start(env):
    player = env.make()
    seen, info = player.reset(options={"panel": "real", "task": 0})
    return player, seen, info


def test_an_episode_by_hand(folder):
    env = family(folder)
    env.check()
    assert env.title == "paper search (own database)" and env.size("real") == 1
    player, seen, info = start(env)
    assert seen == "Query: works on red foxes\n\nHistory:\nNone\n\nPapers:\nNone"
    assert info["expert"] == "search[works on red foxes]"
    # 1, 2, 3 and 6 say foxes; 5 does too, but is younger than the query
    seen, reward, *_, info = player.step("search[red foxes]")
    assert reward == 3.0
    assert "[1001.00001] (new) Red foxes — Red ones." in seen
    assert "1001.00005" not in seen
    assert info["outcome"] == {
        **{"success": 1.0, "recall": 1.0, "precision": 0.75, "f1": 6 / 7},
        **{f"recall_{k}": 1.0 for k in (25, 50, 100)},
    }
    assert info["expert"] == "I have found what there is."
    seen, reward, terminated, truncated, info = player.step(info["expert"])
    assert (reward, terminated, truncated) == (0.0, True, False)
    assert env.golden_steps("real", 0) == 1


def test_expansions_are_paid_and_kept_by_words(folder):
    player, _, _ = start(family(folder))
    assert player.step("search[green]")[1] == 0.0
    # 6 is cited by 2, says its citations; 2 is right
    seen, reward, *_ = player.step("expand[1001.00006]")
    assert reward == 1.0 and "[1001.00006] (expanded) Green foxes" in seen
    assert player.step("search[red ones]")[1] == 1.0
    # 1 is cited by 4, which has nothing to do with it, and cites 3
    seen, reward, *_ = player.step("expand[1001.00001]")
    assert reward == 1.0 and "Hidden dens" in seen and "whales" not in seen


def test_what_is_wasted_costs(folder):
    player, _, _ = start(family(folder))
    said = ["search[red foxes]", "search[Red  FOXES ]", "expand[1001.00009]"]
    assert player.step("\n".join(said))[1] == 3.0 - 0.5 - 0.5
    said = ["expand[1001.00001]"] * 2 + ["search[]"]
    assert player.step("\n".join(said))[1] == 0.0 - 0.5 - 0.5
    assert player.step("\n".join(f"search[{c}]" for c in "abcdefg"))[1] == 0.0


def test_calls_after_the_fifth_are_left_out(folder):
    player, _, _ = start(family(folder))
    said = [f"search[{c}]" for c in "abcde"] + ["search[red foxes]"]
    seen, reward, *_ = player.step("\n".join(said))
    assert reward == 0.0 and "red foxes" not in seen.split("History")[1]


def test_a_call_is_paid_for_three_papers_at_most(tmp_path):
    many = [paper(i, f"fox {i}") for i in range(6)]
    titles, ids = zip(*((p["title"], p["arxiv_id"]) for p in many))
    asked = query(question="fox", answer=list(titles), answer_arxiv_id=list(ids))
    write(tmp_path / "RealScholarQuery_test.jsonl", [asked])
    env = family(tmp_path)
    assert env.title == "paper search (the question files' own papers)"
    assert start(env)[0].step("search[fox]")[1] == 3.0


def test_pay_by_overlap_is_the_share_of_the_querys_words(folder):
    player, _, _ = start(family(folder, relevance="overlap"))
    _, reward, *_ = player.step("search[red foxes]")
    # of 6 papers 2 say red, 5 foxes and 1 ones; "works" and "on" nobody does
    red, foxes = (math.log(1 + (6 - n + 0.5) / (n + 0.5)) for n in (2, 5))
    both, one = 1.0, foxes / (red + foxes)
    assert reward == pytest.approx(both + one + one)


def test_a_stop_ends_and_five_steps_cut(folder):
    player, _, _ = start(family(folder))
    for step in range(5):
        _, _, terminated, truncated, info = player.step(f"search[{step}]")
    assert (terminated, truncated) == (False, True) and "expert" not in info
    assert info["outcome"]["precision"] == info["outcome"]["f1"] == 0.0


def test_lists_are_bounded(tmp_path):
    many = [paper(i, f"fox {i}", abstract="fox " * 50) for i in range(60)]
    write(tmp_path / "papers.jsonl", many)
    asked = query(question="fox", source_meta=None)
    write(tmp_path / "RealScholarQuery_test.jsonl", [asked])
    env = family(tmp_path, abstract_words=3)
    player, _, _ = start(env)
    said = "\n".join(f"search[fox {10 * i}]" for i in range(5))
    seen, *_ = player.step(said)
    lines = seen.split("Papers:\n")[1].splitlines()
    assert len(lines) == 10 and all(line.endswith("— fox fox fox") for line in lines)


def test_expansions_are_bounded():
    ids = [f"1001.{i:05d}" for i in range(300)]
    one = {"arxiv_id": "0001.00001", "title": "x"}
    papers = {i: library.Paper(i, "t") for i in ids}
    papers["a"] = library.Paper(
        "a", one["title"], "", tuple(ids[:150]), tuple(ids[150:])
    )
    near = library.Library({}, papers, "database").expand("a", "")
    assert near == ids[150:180] + ids[:99]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"question": " "}, "line 2: 'question' must be a text"),
        ({"answer": ["a"]}, "line 2: 1 titles in 'answer' for 3 ids"),
        ({"answer": [], "answer_arxiv_id": []}, "and one at least"),
        ({"answer_arxiv_id": ["../a", "b", "c d"]}, "line 2: 'c d' is no arXiv id"),
        ({"source_meta": {"published_time": "2024"}}, "'2024' is no date yyyymmdd"),
    ],
)
def test_malformed_queries_are_refused_by_line(tmp_path, changes, says):
    path = tmp_path / "AutoScholarQuery_dev.jsonl"
    write(path, [query(), query(**changes)])
    with pytest.raises(Refused, match=says) as error:
        family(tmp_path).size("dev")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"title": "x"}, "line 2: 'arxiv_id' must be a text"),
        (paper(2, ""), "line 2: 'title' must be a text"),
        (paper(2, "x", references=[1]), "line 2: 'references' must be a list"),
        (paper(1, "x"), "line 2: 1001.00001 is in the file already"),
    ],
)
def test_malformed_papers_are_refused_by_line(folder, record, says):
    write(folder / "papers.jsonl", [PAPERS[0], record])
    with pytest.raises(Refused, match=says):
        family(folder).size("real")


def test_settings_and_files_are_checked(tmp_path, folder):
    with pytest.raises(Refused, match="'llm' is not one of answers, overlap"):
        family(folder, relevance="llm").check()
    with pytest.raises(Refused, match=r"abstract_words=-1"):
        family(folder, abstract_words=-1).check()
    with pytest.raises(Refused, match=r"has no AutoScholarQuery/train.jsonl or"):
        family(folder).size("train")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(Refused, match=r"has no AutoScholarQuery/train.jsonl or"):
        family(empty).check()


def test_no_observation_tells_what_is_right(folder):
    """Two queries of the same words with other answers look the same."""
    other = query(answer=["Blue whales"], answer_arxiv_id=["1001.00004"])
    write(folder / "RealScholarQuery" / "test.jsonl", [query(), other])
    env = family(folder)
    said = iter(["search[red foxes]", "expand[1001.00001]", "stop"] * 2)
    seen = [play(env.make(), "real", i, lambda _: next(said)) for i in range(2)]
    assert seen[0][3] == seen[1][3] and seen[0][1] != seen[1][1]
