"""Game and data files of text environments: each is played, or refused in one line.

One file of a whole folder has something wrong in it; every panel is then asked for its
size, a task for its golden steps, and an episode is played as the expert would.
"""

import io
import json
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from steppo_jax.errors import Refused
from steppo_jax.hosts import frames, preparation, retrieval
from steppo_jax.hosts.alfworld import official
from steppo_jax.hosts.hotpotqa import HotpotQA
from steppo_jax.hosts.hotpotqa import library as hotpot_library
from steppo_jax.hosts.paper_search_real import PaperSearchReal
from steppo_jax.hosts.paper_search_real import library as paper_library
from steppo_jax.hosts.webshop import WebShop, shop
from tests.fuzz import mutated
from tests.fuzz.places import Place, only_refusals
from tests.fuzz.tier import inputs
from tests.hosts import test_hotpotqa, test_paper_search_real, test_webshop
from tests.hosts.data_cases import need

need("bm25s", "rapidfuzz")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return Place(tmp_path_factory.mktemp("fuzz"))


def play(family) -> int:
    """Asks for all that a run asks for; episodes that could be played."""
    for cached in (shop.load, hotpot_library.load, paper_library.load):
        cached.cache_clear()
    played = 0
    with only_refusals():
        family.check()
        for panel in family.panels:
            with only_refusals():
                if family.size(panel) == 0:
                    continue
                family.golden_steps(panel, 0)
                env = family.make()
                seen, info = env.reset(options={"panel": panel, "task": 0})
                ended = False
                while not ended:
                    # As it comes to the run, and into the model's prompt.
                    frames.pack({"observation": seen, "info": info})
                    seen.encode()
                    seen, reward, over, cut, info = env.step(info["expert"])
                    assert np.isfinite(reward)
                    ended = over or cut
                played += 1
    return played


def lines(*rows) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


ITEMS = [test_webshop.item(i) for i in range(3)]
SHOP = {
    "items_shuffle_1000.json": json.dumps(ITEMS).encode(),
    "items_ins_v2_1000.json": json.dumps(
        {i["asin"]: {"attributes": ["bright"]} for i in ITEMS}
    ).encode(),
    "items_human_ins.json": json.dumps(
        {i["asin"]: [test_webshop.wish()] for i in ITEMS}
    ).encode(),
}
QUESTIONS = {
    "hotpot_dev_distractor_v1.json": json.dumps([test_hotpotqa.record()]).encode(),
    "2wiki/dev.jsonl": lines(test_hotpotqa.record(answer_id="Q1")),
    "2wiki/corpus.jsonl": lines({"title": "Ann", "text": "Ann, Waal."}),
    "2wiki/id_aliases.jsonl": lines({"Q_id": "Q1", "aliases": ["a"], "demonyms": []}),
    "musique/musique_ans_v1.0_dev.jsonl": lines(test_hotpotqa.musique()),
}
PAPERS = {
    "RealScholarQuery/test.jsonl": lines(test_paper_search_real.query()),
    "papers.jsonl": lines(*test_paper_search_real.PAPERS),
}
FAMILIES = {
    "webshop": (SHOP, WebShop),
    "hotpotqa": (QUESTIONS, HotpotQA),
    "paper_search_real": (PAPERS, PaperSearchReal),
}


def changed(data: bytes):
    """The file's bytes with accidents, or one of its values replaced."""
    try:
        document = json.loads(data)
        values = mutated.of_json(document)
    except ValueError:  # lines
        rows = [json.loads(line) for line in data.splitlines()]
        values = mutated.of_json(rows).map(lambda x: lines(*json.loads(x)))
    return st.one_of(values, values, mutated.of_bytes(data))


@pytest.mark.parametrize("name", FAMILIES)
def test_whole_files_are_played(name, place):
    """Or everything below would be refused for another reason."""
    files, family = FAMILIES[name]
    with place.only_inside():
        place.put(files)
        assert play(family(data=str(place.inside), tools=False)) >= 1


@pytest.mark.parametrize("name", FAMILIES)
@inputs(60)
@given(st.data())
def test_one_file_is_wrong(name, place, data):
    files, family = FAMILIES[name]
    which = data.draw(st.sampled_from(list(files)))
    with place.only_inside():
        place.put(files | {which: data.draw(changed(files[which]))})
        play(family(data=str(place.inside), tools=False))


def stored() -> dict[str, bytes]:
    """What prepare_data --index writes for a catalogue, its goals beside it."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for file, data in SHOP.items():
            (folder / file).write_bytes(data)
        list(preparation.write_indexes("webshop", folder))
        paths = [p for p in folder.rglob("*") if p.is_file()]
        return {str(p.relative_to(folder)): p.read_bytes() for p in paths}


STORED = stored()
INDEX = [name for name in STORED if name not in SHOP]


@inputs(60)
@given(st.data())
def test_a_stored_catalogue_is_wrong(place, data):
    which = data.draw(st.sampled_from(INDEX))
    whole = STORED[which]
    try:
        wrong = changed(whole)
    except ValueError:  # an array
        wrong = mutated.of_bytes(whole)
    with place.only_inside():
        place.put(STORED | {which: data.draw(wrong)})
        play(WebShop(data=str(place.inside), tools=False))


def test_a_stored_catalogue_is_played(place):
    with place.only_inside():
        place.put(STORED)
        assert play(WebShop(data=str(place.inside), tools=False)) >= 1


def vectors(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


@inputs(60)
@given(
    st.one_of(
        mutated.of_bytes(vectors(np.eye(3, dtype=np.float32))),
        st.sampled_from(
            [vectors(np.full((3, 3), x)) for x in (1j, "a", True, np.nan, 1)]
        ),
    )
)
def test_embeddings_are_wrong(place, data):
    with place.only_inside():
        place.put({"embeddings.npy": data})
        with only_refusals():
            array = retrieval.load_vectors(place.inside / "embeddings.npy", 3)
            found = retrieval.Dense(array, lambda _: np.ones(array.shape[1]))
            assert len(found.search("q", 2)) == 2


GAME = {
    "grammar": '{"task": "Your task is to: put a mug in desk."}',
    "pddl_domain": "(define (domain alfred))",
    "pddl_problem": "(define (problem x))",
}
ABOUT = {
    "task_type": "pick_and_place_simple",
    "pddl_params": {"object_target": "Mug", "parent_target": "Desk"}
    | {"toggle_target": ""},
}
FILES = {"game.tw-pddl": GAME, "traj_data.json": ABOUT}


@inputs(60)
@given(st.sampled_from(list(FILES)), st.data())
@example("game.tw-pddl", None)
@example("traj_data.json", None)
def test_official_games_are_wrong(place, name, data):
    wrong = b"[" * 10_000
    if data is not None:
        wrong = data.draw(mutated.of_either(FILES[name]))
    with place.only_inside():
        place.put({k: json.dumps(v).encode() for k, v in FILES.items()} | {name: wrong})
        with only_refusals():
            game = official.game(place.inside / "game.tw-pddl")
            assert all(isinstance(game[k], str) for k in game if k != "goal")
            assert all(isinstance(x, str) for x in vars(game["goal"]).values())


def test_half_a_character_is_refused(place):
    """JSON can name one; no tokenizer takes it."""
    broken = test_hotpotqa.record(question="\ud800 where?")
    for name, data in (
        ("hotpot_train_v1.1.json", json.dumps([broken]).encode()),
        ("hotpot_train_v1.1.jsonl", lines(broken)),
    ):
        with place.only_inside():
            place.put({name: data})
            hotpot_library.load.cache_clear()
            with pytest.raises(Refused, match="half a character"):
                HotpotQA(data=str(place.inside)).size("train")
