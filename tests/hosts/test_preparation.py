"""Official files are verified and laid out; what is wrong is one line."""

import dataclasses
import hashlib

import pytest
from absl.testing import flagsaver

from steppo_jax.errors import Refused
from steppo_jax.hosts import preparation, sources
from steppo_jax.hosts.hotpotqa import HotpotQA, library
from steppo_jax.hosts.webshop import shop, store
from tests import entry_points
from tests.hosts.data_cases import REAL, need, play, write
from tests.hosts.test_hotpotqa import TEXTS, record
from tests.hosts.test_webshop import folder, item

need("bm25s", "rapidfuzz")
prepare_data = entry_points.load("prepare_data")
its_flags = entry_points.with_flags("prepare_data")


@pytest.fixture
def short(monkeypatch):
    """The files of hotpotqa as if two questions were all of them."""
    files = [dataclasses.replace(s, count=2) for s in sources.FILES["hotpotqa"][:2]]
    monkeypatch.setitem(sources.FILES, "hotpotqa", tuple(files))
    return files


def run(**given):
    with flagsaver.flagsaver(**given):
        prepare_data.main()


@pytest.mark.parametrize("family", sources.FILES)
def test_the_listing_names_place_and_licence(family, capsys):
    run(family=family)
    told = capsys.readouterr().out
    for source in sources.FILES[family]:
        assert source.name in told and source.url in told and source.licence in told


def test_files_are_verified_and_copied(tmp_path, short, capsys):
    came, out = tmp_path / "came", tmp_path / "out"
    path = write(came / "deep" / "hotpot_train_v1.1.json", [record(), record()])
    run(family="hotpotqa", source=str(came), out=str(out), corpus=True)
    told = capsys.readouterr().out
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert f"hotpot_train_v1.1.jsonl: sha256 {digest}" in told
    assert "hotpot_dev_distractor_v1.jsonl: not found" in told
    assert f"corpus.jsonl: {len(TEXTS)} passages" in told
    assert sorted(p.name for p in out.iterdir()) == [
        "corpus.jsonl",
        "hotpot_train_v1.1.jsonl",
    ]
    _, rewards, *_ = play(HotpotQA(data=str(out)).make(), "train", 1)
    assert rewards[-1] == 1.0
    with pytest.raises(Refused, match="exists already"):
        list(preparation.write_corpora(out))


def test_another_number_of_records_is_refused(tmp_path, short):
    write(tmp_path / "hotpot_train_v1.1.json", [record()] * 3)
    with pytest.raises(Refused, match="has 3 records, not 2; get it again from"):
        list(preparation.prepare("hotpotqa", tmp_path, tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_another_checksum_is_refused(tmp_path):
    write(tmp_path / "RealScholarQuery_test.jsonl", [{}])
    with pytest.raises(Refused, match=r"has sha256 .* not b3b570411ce2"):
        list(preparation.prepare("paper_search_real", tmp_path, tmp_path / "out"))


def test_no_file_and_two_files_are_refused(tmp_path, short):
    with pytest.raises(Refused, match="has none of the files of hotpotqa"):
        list(preparation.prepare("hotpotqa", tmp_path, tmp_path / "out"))
    for part in "ab":
        write(tmp_path / part / "hotpot_train_v1.1.json", [record()] * 2)
    with pytest.raises(Refused, match="has 2 files hotpot_train"):
        list(preparation.prepare("hotpotqa", tmp_path, tmp_path / "out"))
    with pytest.raises(Refused, match="is no folder"):
        list(preparation.prepare("hotpotqa", tmp_path / "no", tmp_path / "out"))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"family": "webshop", "out": "x"}, "--out needs --source"),
        ({"family": "webshop", "source": "x"}, "need --out"),
        ({"family": "webshop", "corpus": True, "out": "x"}, "is for --family=hotpotqa"),
    ],
)
def test_flags_that_do_not_go_together_are_one_line(given, says, capsys):
    with pytest.raises(SystemExit):
        run(**given)
    assert says in capsys.readouterr().err


def test_real_files_have_the_known_checksums(tmp_path):
    if not (REAL / "RealScholarQuery_test.jsonl").is_file():
        pytest.skip(f"{REAL} is not on this machine")
    done = dict(preparation.prepare("paper_search_real", REAL, tmp_path))
    assert done["AutoScholarQuery/dev.jsonl"].startswith("sha256 d211a33f")
    assert done["AutoScholarQuery/train.jsonl"] == "not found"
    assert (tmp_path / "RealScholarQuery" / "test.jsonl").is_file()


def test_a_stored_catalogue_plays_the_same(tmp_path, capsys):
    env = folder(tmp_path, [item(i, pricing=f"${5 + i}.00$40") for i in range(25)])
    before = [play(env.make(), "test", task) for task in range(env.size("test"))]
    run(family="webshop", out=str(tmp_path), index=True)
    assert "products.jsonl: 25 products\nbm25: their index" in capsys.readouterr().out
    for name in ("items_shuffle_1000.json", "items_ins_v2_1000.json"):
        (tmp_path / name).unlink()  # no longer read
    env.check()
    player = env.make()
    assert isinstance(player._shop.products, store.Stored)
    assert [play(player, "test", task) for task in range(env.size("test"))] == before
    lines = tmp_path / store.LINES
    text = lines.read_text()
    lines.write_text(text.replace("Alder", "Birch", 1) + "\n")
    shop.load.cache_clear()
    with pytest.raises(Refused, match=r"belongs to another products.jsonl"):
        env.size("test")
    lines.write_text("[" + text[1:])
    with pytest.raises(Refused, match="the line of B000000000 is damaged"):
        env.size("test")
    (tmp_path / "bm25" / "passages.json").unlink()
    with pytest.raises(Refused, match=r"has no bm25/passages.json"):
        env.check()


def test_a_stored_index_of_passages_plays_the_same(tmp_path):
    write(tmp_path / "hotpot_train_v1.1.jsonl", [record(), record(question="Cara?")])
    env = HotpotQA(data=str(tmp_path), tools=False, top=2)
    before = [play(env.make(), "train", task) for task in range(2)]
    run(family="hotpotqa", out=str(tmp_path), index=True)
    assert [play(env.make(), "train", task) for task in range(2)] == before
    write(tmp_path / "corpus.jsonl", [{"title": "T", "text": "other"}])
    library.load.cache_clear()
    with pytest.raises(Refused, match="is the index of other passages"):
        env.make().reset(options={"panel": "train", "task": 0})
