"""Search over passages: BM25 and a dense index behind one interface.

BM25 is `bm25s` (MIT) with the formula of Lucene: the sum over the query's words of
log(1 + (N − n + ½)/(n + ½)) · f/(f + k1·(1 − b + b·L/mean L)), n passages of N having a
word that stands f times in a passage of L words (Robertson and Zaragoza 2009; Kamphuis
et al. 2020 for Lucene's form). The official code asks Pyserini; departures: words are
runs of letters and digits, without stemming or stop words. k1 = 0.9 and b = 0.4 are
Pyserini's. Passages of equal score come in the order of the corpus, as in Lucene.
"""

from __future__ import annotations

import contextlib
import json
import logging
import pathlib
import re
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import numpy as np

from steppo_jax.errors import Refused
from steppo_jax.hosts import records

K1, B = 0.9, 0.4
ARRAYS = ("data", "indices", "indptr")
KEY = "passages.json"  # says which passages a stored index belongs to
QUERY_CHARACTERS = 2000  # what a query says after these is not read
# BGE's own words before a query (huggingface.co/BAAI/bge-large-en-v1.5)
BGE_QUERY = "Represent this sentence for searching relevant passages: "
_WORD = re.compile(r"\w+")


class Retriever(Protocol):
    """Finds passages by their number in the corpus."""

    def search(self, query: str, k: int) -> list[int]:
        """At most k passages, best first; what shares nothing with the query is left
        out where the method can tell."""


def words(text: str) -> list[str]:
    """Lower-case runs of letters and digits."""
    return _WORD.findall(text.lower())


def best(scores: np.ndarray, k: int) -> np.ndarray:
    """[≤ k] places of the highest scores [N], best first, then lower place first."""
    k = min(k, len(scores))
    if k <= 0:
        return np.zeros(0, np.int64)
    edge = np.partition(scores, -k)[-k]
    above = np.flatnonzero(scores > edge)
    above = above[np.argsort(-scores[above], kind="stable")]
    return np.concatenate([above, np.flatnonzero(scores == edge)[: k - len(above)]])


class Bm25:
    """A Lucene-like index of passages, in memory or mapped from a folder."""

    def __init__(self, passages: Iterable[str]):
        self._index, self._folder = None, None
        known: dict[str, str] = {}  # one object per word: a tenth of the memory
        tokens = [[known.setdefault(w, w) for w in words(p)] for p in passages]
        if not any(tokens):  # bm25s takes no empty corpus
            return
        self._index = _bm25s().BM25(k1=K1, b=B, method="lucene", backend="numpy")
        self._index.index(tokens, show_progress=False)

    def save(self, folder: pathlib.Path, key: str) -> None:
        """Writes the index; `key` says which passages it belongs to."""
        if self._index is None:
            raise Refused(f"{folder}: passages without a word need no index")
        (folder / KEY).unlink(missing_ok=True)  # there again when all is
        self._index.save(str(folder), show_progress=False)
        key = json.dumps({"key": key, "k1": K1, "b": B})
        (folder / KEY).write_text(key, "utf-8")

    @classmethod
    def load(cls, folder: pathlib.Path, key: str, count: int) -> Bm25:
        """The index of so many passages in a folder; all processes share its memory.

        Raises Refused where it belongs to others, or is damaged.
        """
        path = records.needed(folder, KEY)
        if records.json_object(path) != {"key": key, "k1": K1, "b": B}:
            raise Refused(
                f"{folder} is the index of other passages; remove it, or make it anew "
                "with experiments.prepare_data --index"
            )
        made = cls([])
        load = _bm25s().BM25.load
        with _intact(folder):
            made._index = load(str(folder), mmap=True, show_progress=False, verbosity=0)
            made._folder = folder
            words, found = made._index.vocab_dict, made._index.scores
            if type(words) is not dict or found["num_docs"] != count:
                raise ValueError("it has another number of words or passages")
            if any(found[name].dtype.kind not in "iuf" for name in ARRAYS):
                raise ValueError("its arrays hold no numbers")
        return made

    def search(self, query: str, k: int) -> list[int]:
        asked = words(query[:QUERY_CHARACTERS])
        known = [w for w in asked if self._index and w in self._index.vocab_dict]
        if not known:
            return []
        with _intact(self._folder):
            scores = self._index.get_scores(known)
            return [int(i) for i in best(scores, k) if scores[i] > 0]


@contextlib.contextmanager
def _intact(folder: pathlib.Path | None) -> Iterator[None]:
    """Turns what bm25s raises on damaged files of a folder into Refused."""
    try:
        yield
    except Exception as error:  # of many kinds: files of arrays, JSON, numbers in them
        if folder is None or isinstance(error, Refused):
            raise
        says = f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
        raise Refused(
            f"{folder} is a damaged index ({says}); remove it, or make it anew with "
            "experiments.prepare_data --index"
        ) from None


class Dense:
    """Inner products of a query's vector with those of the passages, all of them."""

    def __init__(self, vectors_ND: np.ndarray, encode: Callable[[str], np.ndarray]):
        self._vectors_ND, self._encode = vectors_ND, encode

    def search(self, query: str, k: int) -> list[int]:
        vector_D = np.asarray(self._encode(query[:QUERY_CHARACTERS]), np.float32)
        if vector_D.shape != self._vectors_ND.shape[1:]:
            raise Refused(
                f"the query's vector has shape {vector_D.shape}, the passages' "
                f"{self._vectors_ND.shape[1:]}; use the encoder that made them"
            )
        scores = self._vectors_ND @ vector_D
        if not np.isfinite(scores).all():
            raise Refused(
                "an embedding of the query or of a passage is not finite; make "
                "them anew"
            )
        return best(scores, k).tolist()


def load_dense(embeddings: pathlib.Path, encoder: str, num_passages: int) -> Dense:
    """The dense index of a .npy file [N, D], row i for passage i.

    Args:
      encoder: folder of a sentence-transformers model, for the queries. Never
        downloaded.
    """
    check_dense(str(embeddings), encoder)
    vectors_ND = load_vectors(embeddings, num_passages)
    from sentence_transformers import SentenceTransformer

    # Accelerators are the learner's; a query is a few tokens.
    model = SentenceTransformer(encoder, device="cpu", local_files_only=True)

    def encode(query: str) -> np.ndarray:
        return model.encode(BGE_QUERY + query, normalize_embeddings=True)

    return Dense(vectors_ND, encode)


def load_vectors(path: pathlib.Path, num_passages: int) -> np.ndarray:
    """[N, D] float, mapped from a .npy file. Raises Refused for anything else."""
    try:
        vectors_ND = np.load(path, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # numpy raises many kinds for a damaged header
        says = " ".join(str(error).split())[:200]
        raise Refused(f"{path}: no array of numbers ({says})") from None
    if not isinstance(vectors_ND, np.ndarray) or vectors_ND.dtype.kind != "f":
        kind = getattr(vectors_ND, "dtype", "an archive")
        raise Refused(f"{path} holds {kind}; embed the passages as floats")
    if vectors_ND.ndim != 2 or len(vectors_ND) != num_passages:
        raise Refused(
            f"{path} has shape {vectors_ND.shape}, the corpus {num_passages} "
            "passages; embed this corpus in its order"
        )
    return vectors_ND


def check_dense(embeddings: str, encoder: str) -> None:
    """Raises Refused, with the remedy, unless a dense index can be made."""
    if not pathlib.Path(embeddings).is_file():
        raise Refused(
            f"env.embeddings={embeddings!r} is no file; give the .npy of the passages' "
            "vectors, or use env.retriever=bm25"
        )
    if not pathlib.Path(encoder).is_dir():
        raise Refused(
            f"env.encoder={encoder!r} is no folder; give that of the "
            "sentence-transformers model that embedded the passages"
        )
    records.need_package("sentence_transformers", "env.retriever=dense")


def _bm25s():
    records.need_package("bm25s", "BM25 search")
    with _without_jax():
        import bm25s
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # it tells every index
    return bm25s


_IMPORTING = threading.Lock()


@contextlib.contextmanager
def _without_jax() -> Iterator[None]:
    """Lets bm25s import without JAX: it would start a device, to sort by it."""
    with _IMPORTING:
        hidden = {name: sys.modules[name] for name in ("jax",) if name in sys.modules}
        sys.modules["jax"] = None  # an import of it now raises ImportError
        try:
            yield
        finally:
            del sys.modules["jax"]
            sys.modules.update(hidden)
