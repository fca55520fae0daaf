"""Question answering with search: rewards, rules, and the official files in small."""

import pytest

from steppo_jax.errors import Refused
from steppo_jax.hosts.hotpotqa import HotpotQA, library
from steppo_jax.hosts.hotpotqa.questions import Passage, read
from tests.hosts.data_cases import need, play, write

need("bm25s")
TEXTS = {
    "Ann": "Ann was born in Bonn.",
    "Bonn": "Bonn lies by the Rhine.",
    "Cara": "Cara sings.",
    "Dora": "Dora paints.",
}


def record(**changes):
    """As in hotpot_dev_distractor_v1.json."""
    return {
        "_id": "1",
        "question": "On which river is the town where Ann was born?",
        "answer": "the Rhine",
        "supporting_facts": [["Ann", 0], ["Bonn", 0], ["Bonn", 1]],
        "context": [[title, [text]] for title, text in TEXTS.items()],
        **changes,
    }


def musique(**changes):
    paragraphs = [
        {
            "idx": i,
            "title": t,
            "paragraph_text": x,
            "is_supporting": t in ("Ann", "Bonn"),
        }
        for i, (t, x) in enumerate(TEXTS.items())
    ]
    return {
        "question": "q Ann?",
        "answer": "Rhine",
        "answer_aliases": ["Rhein"],
        "paragraphs": paragraphs,
        **changes,
    }


def family(tmp_path, **settings):
    settings = {"tools": False, "top": 1} | settings
    return HotpotQA(data=str(tmp_path), **settings)


@pytest.fixture
def env(tmp_path):
    write(tmp_path / "hotpot_dev_distractor_v1.json", [record()])
    return family(tmp_path)


def start(env, panel="validation"):
    player = env.make()
    seen, info = player.reset(options={"panel": panel, "task": 0})
    return player, seen, info


def test_an_episode_by_hand(env):
    env.check()
    assert env.title == "HotpotQA" and env.size("validation") == 1
    player, seen, info = start(env)
    question = record()["question"]
    assert seen == (
        f"Question: {question}\n\nPast actions:\nNone\n\n"
        f"Passages:\n[1] (query: {question}) Ann: Ann was born in Bonn."
    )
    assert info["expert"] == "search[Bonn]"
    assert env.golden_steps("validation", 0) == 2
    seen, reward, terminated, truncated, info = player.step(
        "search[Rhine]\nsearch[Ann]"
    )
    assert (reward, terminated, truncated) == (0.0, False, False)
    assert "[Search] Rhine\n[Search] Ann\n" in seen
    # found once, listed once, with the query that found it first
    assert f"[1] (query: {question}) Ann: Ann was" in seen
    assert "[2] (query: Rhine) Bonn: Bonn lies by" in seen and "[3]" not in seen
    assert info["expert"] == "answer[the Rhine]"
    _, reward, terminated, _, info = player.step("I know.\nanswer[Rhine!]")
    assert (reward, terminated) == (1.0, True)
    assert info["outcome"] == {"success": 1.0, "f1": 1.0, "answered": 1.0}


@pytest.mark.parametrize(
    ("said", "success"),
    [
        ("the rhine", 1.0),  # no tag: the whole text
        ("<think>Rhine?</think>Rhine", 1.0),
        ("answer[Bonn]\nanswer[Rhine]", 1.0),
        ("It is the Rhine", 0.0),
        ("", 0.0),
        ("search[]", 0.0),  # a search for nothing is none
    ],
)
def test_a_response_without_a_search_is_the_answer(env, said, success):
    player, _, _ = start(env)
    _, reward, terminated, _, info = player.step(said)
    assert terminated and reward == info["outcome"]["success"] == success


def test_hermes_answers_stand_in_tags(tmp_path, env):
    player, _, info = start(family(tmp_path, tools=True))
    assert "<tool_call>" in info["expert"]
    *_, info = player.step(info["expert"])
    assert info["expert"] == "<answer>the Rhine</answer>"
    _, reward, terminated, *_ = player.step("so <answer>A Rhine</answer>")
    assert terminated and reward == 1.0


def test_at_most_four_searches_and_three_complaints(env):
    player, _, _ = start(env)
    seen, *_ = player.step("\n".join(f"search[{w}]" for w in "abcde"))
    assert seen.count("[Search]") == 4
    assert "5 searches: only the first 4 were done" in seen
    seen, *_ = player.step("search[x]\n" + "\n".join(f"fly{c}[y]" for c in "abcd"))
    assert seen.split("Problems:\n")[1].splitlines() == [
        f"there is no tool 'fly{c}'" for c in "bcd"
    ]


def test_no_answer_in_time_is_zero(env):
    player, _, _ = start(env)
    for step in range(5):
        _, reward, terminated, truncated, info = player.step(f"search[{step}]")
    assert (reward, terminated, truncated) == (0.0, False, True)
    assert info["outcome"] == {"success": 0.0, "f1": 0.0, "answered": 0.0}


def test_passages_are_cut_and_the_first_go_first(tmp_path, env):
    env = family(tmp_path, passage_characters=10, block_characters=110)
    player, seen, _ = start(env)
    assert seen.endswith(") Ann: Ann …")
    seen, *_ = player.step("search[Cara]\nsearch[Dora]")
    block = seen.split("Passages:\n")[1].splitlines()
    assert [line[:3] for line in block] == ["[2]", "[3]"]


def test_out_of_domain_panels_have_their_own_passages(tmp_path):
    write(tmp_path / "hotpot_train_v1.1.json", [record()])
    write(tmp_path / "2wiki" / "dev.json", [record(answer_id="Q1", answer="Waal")])
    write(tmp_path / "2wiki" / "corpus.jsonl", [{"title": "Ann", "text": "Ann, Waal."}])
    names = {"Q_id": "Q1", "aliases": ["Rhine"], "demonyms": ["Rhinish"]}
    write(tmp_path / "2wiki" / "id_aliases.jsonl", [names])
    extra = {"title": "Else", "paragraph_text": "Else."}
    asked = musique(paragraphs=[*musique()["paragraphs"], extra])
    write(tmp_path / "musique" / "musique_ans_v1.0_dev.jsonl", [asked])
    env = family(tmp_path)
    env.check()
    _, seen, _ = start(env, "2wiki")
    assert "Ann: Ann, Waal." in seen
    main = library.load(tmp_path, "", 0)
    assert main.questions.keys() == {"train"} and len(main.passages) == len(TEXTS)
    _, seen, _ = start(env, "train")
    assert "Ann: Ann was born" in seen
    for panel, said in (("2wiki", "Rhinish"), ("2wiki", "Waal"), ("musique", "rhein")):
        player, _, _ = start(env, panel)
        assert player.step(f"answer[{said}]")[1] == 1.0
    assert play(env.make(), "musique", 0)[1][-1] == 1.0
    with pytest.raises(Refused, match=r"has no hotpot_dev_distractor_v1.jsonl or"):
        env.size("validation")


def test_the_form_of_the_hub_is_the_same_question():
    hub = record(
        supporting_facts={"title": ["Ann", "Bonn"], "sent_id": [0, 0]},
        context={"title": list(TEXTS), "sentences": [[t] for t in TEXTS.values()]},
    )
    assert read("x", hub) == read("x", record())
    question, passages = read("x", musique())
    assert question.titles == ("Ann", "Bonn") and question.answers == ("Rhine", "Rhein")
    assert passages == [Passage(*pair) for pair in TEXTS.items()]


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"question": None}, "record 1: 'question' must be a text"),
        ({"answer": ["x"]}, "record 1: 'answer' must be a text"),
        ({"context": None}, "record 1: 'context' must be a list"),
        ({"context": [["Ann", "text"]]}, "record 1: 'context'"),
        ({"context": [["Ann"]]}, "record 1: 'context'"),
        ({"supporting_facts": [[1, 0]]}, "record 1: 'supporting_facts'"),
        ({"paragraphs": [1]}, "record 1: 'paragraphs'"),
        ({"paragraphs": [{"title": "a"}]}, "paragraph 0: 'paragraph_text'"),
        ({"reward_model": {}}, "record 1: needs texts as prompt"),
        ({"context": [["Ann", []]]}, ""),
    ],
)
def test_malformed_questions_are_refused_by_place(tmp_path, changes, says):
    write(tmp_path / "hotpot_train_v1.1.json", [record(), record(**changes)])
    env = family(tmp_path)
    if not says:  # a passage without text is left out
        assert env.size("train") == 2
        return
    with pytest.raises(Refused, match=says) as error:
        env.size("train")
    assert "\n" not in str(error.value)


def test_what_is_missing_is_named(tmp_path):
    with pytest.raises(Refused, match=r"has no hotpot_train_v1.1.jsonl or "):
        family(tmp_path).check()
    bare = {"prompt": [{"content": "q"}], "reward_model": {"ground_truth": "a"}}
    write(tmp_path / "hotpot_train_v1.1.json", [bare])
    with pytest.raises(Refused, match=r"bring no passages; add corpus.jsonl"):
        family(tmp_path).size("train")
    write(tmp_path / "corpus.jsonl", [{"title": "T", "text": "q"}])
    env = HotpotQA(data=str(tmp_path), tools=False)
    assert env.size("train") == 1 and env.golden_steps("train", 0) is None
    write(tmp_path / "corpus.jsonl", [{"title": "T"}])
    with pytest.raises(Refused, match="line 1: 'text' must be a text"):
        family(tmp_path, seed=1).size("train")


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"retriever": "faiss"}, "'faiss' is not one of bm25, dense"),
        ({"encoder": "x"}, "env.encoder is for env.retriever=dense"),
        ({"top": 0}, "env.top=0: needs to be 1 or more"),
        ({"retriever": "dense"}, "needs env.data, a folder with corpus.jsonl"),
    ],
)
def test_settings_are_checked(settings, says):
    with pytest.raises(Refused, match=says):
        HotpotQA(data="generated", **settings).check()


def test_a_dense_index_plays(tmp_path, monkeypatch, env):
    import numpy as np

    from steppo_jax.hosts.retrieval import Dense

    vectors = np.eye(4, dtype=np.float32)
    seen = []

    def load(path, encoder, count):
        seen.append((path, encoder, count))
        return Dense(vectors, lambda q: vectors[3 if "river" in q else 1])

    monkeypatch.setattr(library, "load_dense", load)
    (tmp_path / "embeddings.npy").touch()
    env = family(tmp_path, retriever="dense", encoder="model")
    player, observation, _ = start(env)
    assert "Dora paints" in observation
    observation, *_ = player.step("search[x]")
    assert "Bonn lies by" in observation
    assert seen == [((tmp_path / "embeddings.npy").resolve(), "model", 4)]
