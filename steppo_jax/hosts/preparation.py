"""Official files, wherever they were unpacked → the folder layout of a family.

Nothing is downloaded. A file is copied under its name in the layout, lists of records
as lines, once it has the checksum and the number of records that `sources` knows.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
from collections.abc import Iterator

from steppo_jax.errors import Refused
from steppo_jax.hosts import records, retrieval
from steppo_jax.hosts.hotpotqa import library
from steppo_jax.hosts.sources import FILES, Source
from steppo_jax.hosts.webshop import shop, store


def listing(family: str) -> Iterator[str]:
    """Lines that say where the files of a family come from."""
    for source in FILES[family]:
        yield f"{source.name}{'' if source.needed else '  (optional)'}"
        yield f"    {source.official} from {source.url}"
        yield f"    licence: {source.licence}"


def prepare(
    family: str, source: pathlib.Path, out: pathlib.Path
) -> Iterator[tuple[str, str]]:
    """Copies what is there; yields (file in the layout, what became of it).

    Raises Refused for a file that is not what it should be, and where there is none.
    """
    if not source.is_dir():
        raise Refused(f"--source={source} is no folder; give where the files are")
    copied = 0
    for known in FILES[family]:
        found = _find(source, known)
        if found is None:
            yield known.name, "not found"
            continue
        digest = _checked(known, found)
        target = records.inside(out, known.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or not target.samefile(found):
            unfinished = target.with_name(target.name + ".unfinished")
            _copy(known, found, unfinished)
            unfinished.rename(target)
        copied += 1
        yield known.name, f"sha256 {digest}"
    if not copied:
        raise Refused(
            f"--source={source} has none of the files of {family}; "
            "run without --source to see where they come from"
        )


def write_corpora(folder: pathlib.Path) -> Iterator[tuple[str, int]]:
    """Writes corpus.jsonl of every HotpotQA domain whose question files are there, in
    the order that an embeddings.npy must have; yields (file, passages). Refused where
    it is there already."""
    for domain in dict.fromkeys(library.DOMAIN.values()):
        path = records.inside(folder, domain) / "corpus.jsonl"
        if path.exists():
            raise Refused(f"{path} exists already; remove it to write it anew")
        loaded = library.load(folder, domain, 0)
        if not loaded.questions:
            continue
        unfinished = path.with_name(path.name + ".unfinished")
        with unfinished.open("w", encoding="utf-8") as file:
            for passage in loaded.passages:
                line = {"title": passage.title, "text": passage.text}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        unfinished.rename(path)
        yield str(path.relative_to(folder.resolve())), len(loaded.passages)
    library.load.cache_clear()


def write_indexes(family: str, folder: pathlib.Path) -> Iterator[str]:
    """Writes what workers then share instead of each making it: search indexes, and of
    WebShop the products as lines. Yields what was written."""
    if family == "webshop":
        products = shop.whole(folder)
        store.write(folder, products)
        yield f"{store.LINES}: {len(products)} products"
        stored = store.Stored(folder)
        target = records.inside(folder, shop.BM25)
        retrieval.Bm25(p.document for p in products.values()).save(target, stored.key)
        yield f"{shop.BM25}: their index"
        shop.load.cache_clear()
        return
    for domain in dict.fromkeys(library.DOMAIN.values()):
        loaded = library.load(folder, domain, 0)
        if loaded.questions:
            target = records.inside(folder, domain) / library.BM25
            retrieval.Bm25(loaded.texts()).save(target, loaded.key)
            yield f"{target.relative_to(folder.resolve())}: {loaded.key}"
    library.load.cache_clear()


def _find(source: pathlib.Path, known: Source) -> pathlib.Path | None:
    """The file by its place in the layout, else by its official name anywhere."""
    near = records.first(source, known.name, known.name.replace("/", "_"))
    if near is not None or "/" in known.official:
        return near
    found = sorted(path for path in source.rglob(known.official) if path.is_file())
    if len(found) > 1:
        raise Refused(
            f"{source} has {len(found)} files {known.official}; leave one, or call it "
            f"{known.name}"
        )
    return found[0] if found else None


def _copy(known: Source, path: pathlib.Path, target: pathlib.Path) -> None:
    """Copies; a list of records becomes lines, so that workers need not hold it all."""
    if path.suffix != ".json" or known.count is None:
        shutil.copyfile(path, target)
        return
    with target.open("w", encoding="utf-8") as file:
        for _, record in records.read(path):
            file.write(json.dumps(record, ensure_ascii=False) + "\n")


def _checked(known: Source, path: pathlib.Path) -> str:
    """The file's checksum. Raises Refused if it is not the file that is known."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if known.sha256 is not None and digest != known.sha256:
        raise Refused(
            f"{path} has sha256 {digest}, not {known.sha256}: another version, or "
            f"damaged; get it again from {known.url}"
        )
    if known.count is not None:
        count = sum(1 for _ in records.read(path))
        if count != known.count:
            raise Refused(
                f"{path} has {count} records, not {known.count}; get it again from "
                f"{known.url}"
            )
    return digest
