"""BM25 against its formula in NumPy, ties, and the dense index with a small encoder."""

import math
import random
import subprocess
import sys
import types

import numpy as np
import pytest

from steppo_jax.errors import Refused
from steppo_jax.hosts import retrieval
from tests.hosts.data_cases import need

need("bm25s")


def slow_bm25(passages, query, k1=0.9, b=0.4):
    """[N] scores, term by term."""
    texts = [retrieval.words(passage) for passage in passages]
    mean = sum(map(len, texts)) / len(texts)
    scores = np.zeros(len(texts))
    for word in retrieval.words(query):
        n = sum(word in text for text in texts)
        idf = math.log(1 + (len(texts) - n + 0.5) / (n + 0.5))
        for i, text in enumerate(texts):
            f = text.count(word)
            scores[i] += idf * f / (f + k1 * (1 - b + b * len(text) / mean))
    return scores


def test_bm25_ranks_as_its_formula():
    draw = random.Random(1)
    vocabulary = [f"w{i}" for i in range(30)]
    passages = [
        " ".join(draw.choices(vocabulary, k=draw.randint(1, 25))) for _ in range(80)
    ]
    index = retrieval.Bm25(passages)
    for _ in range(60):
        # words said twice count twice; w99 stands nowhere
        query = " ".join(draw.choices([*vocabulary, "w99"], k=draw.randint(1, 6)))
        scores = slow_bm25(passages, query)
        got = index.search(query, 7)
        want = sorted(range(80), key=lambda i: -round(scores[i], 5))[:7]
        assert [round(scores[i], 4) for i in got] == [
            round(scores[i], 4) for i in want if scores[i] > 0
        ]


def test_equal_passages_come_in_their_order():
    index = retrieval.Bm25(["b", "a a", "a b", "a b", "a b", "c"])
    assert index.search("b a", 3) == [2, 3, 4]
    assert index.search("c", 5) == [5]


@pytest.mark.parametrize("query", ["", "?!", "zebra", "\x00"])
def test_a_query_of_no_known_word_finds_nothing(query):
    assert retrieval.Bm25(["a b", "c"]).search(query, 3) == []


def test_a_corpus_of_no_words_can_be_searched():
    assert retrieval.Bm25([]).search("a", 3) == []
    assert retrieval.Bm25(["", "?"]).search("a", 3) == []


def test_best_is_a_stable_sort():
    draw = np.random.default_rng(0)
    for _ in range(50):
        scores = draw.integers(0, 4, 20).astype(np.float32)
        for k in (0, 1, 5, 20, 99):
            want = np.argsort(-scores, kind="stable")[:k]
            np.testing.assert_array_equal(retrieval.best(scores, k), want)


def test_building_an_index_starts_no_device():
    program = """
import jax
from steppo_jax.hosts.retrieval import Bm25
assert Bm25(["a", "b"]).search("b", 1) == [1]
from jax._src import xla_bridge
assert not xla_bridge.backends_are_initialized()
import sys
assert sys.modules["jax"] is jax
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


class Encoder:
    """Counts of four letters, as a sentence-transformers model that was loaded."""

    def __init__(self, folder, device, local_files_only):
        assert local_files_only and device == "cpu"

    def encode(self, text, normalize_embeddings):
        text = text.removeprefix(retrieval.BGE_QUERY)
        vector = np.array([text.count(c) for c in "abcd"], np.float32)
        return vector / max(np.linalg.norm(vector), 1e-9)


@pytest.fixture
def encoder(monkeypatch, tmp_path):
    module = types.ModuleType("sentence_transformers")
    module.SentenceTransformer = Encoder
    module.__spec__ = types.SimpleNamespace(name="sentence_transformers")
    monkeypatch.setitem(sys.modules, "sentence_transformers", module)
    folder = tmp_path / "model"
    folder.mkdir()
    return str(folder)


def test_dense_search_ranks_by_inner_product(encoder, tmp_path):
    passages = ["aab", "b", "ccd", "abcd"]
    rows = [
        Encoder("", "cpu", True).encode(p, normalize_embeddings=True) for p in passages
    ]
    np.save(tmp_path / "e.npy", np.stack(rows))
    index = retrieval.load_dense(tmp_path / "e.npy", encoder, 4)
    assert index.search("bb", 3) == [1, 3, 0]
    assert index.search("cd", 1) == [2]


def test_dense_files_that_do_not_fit_are_refused(encoder, tmp_path):
    path = tmp_path / "e.npy"
    np.save(path, np.zeros((3, 5), np.float32))
    with pytest.raises(Refused, match="corpus 4 passages"):
        retrieval.load_dense(path, encoder, 4)
    index = retrieval.load_dense(path, encoder, 3)
    with pytest.raises(Refused, match="use the encoder that made them"):
        index.search("a", 1)
    np.save(path, np.array([{}], object))
    with pytest.raises(Refused, match="no array of numbers"):
        retrieval.load_dense(path, encoder, 3)
    with pytest.raises(Refused, match="is no file"):
        retrieval.check_dense(str(tmp_path / "none.npy"), encoder)
    with pytest.raises(Refused, match="is no folder"):
        retrieval.check_dense(str(path), "no/model")


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(retrieval.records.importlib.util, "find_spec", lambda n: None)
    (tmp_path / "e.npy").touch()
    with pytest.raises(Refused, match="pip install sentence-transformers"):
        retrieval.check_dense(str(tmp_path / "e.npy"), str(tmp_path))
    with pytest.raises(Refused, match="pip install bm25s"):
        retrieval.Bm25(["a"])
