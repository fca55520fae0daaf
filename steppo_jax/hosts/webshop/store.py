"""A catalogue on disk, of which a worker holds only the ASINs.

products.jsonl has a cleaned product a line, products.index.json where each line begins.
The whole of items_shuffle.json, 1.18 M products, is too much for the memory of every
worker; lines are read when a page shows them.
"""

from __future__ import annotations

import collections
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterator, Mapping

from steppo_jax.errors import Refused
from steppo_jax.hosts import records
from steppo_jax.hosts.webshop.catalogue import Product

LINES, INDEX = "products.jsonl", "products.index.json"
MOST_CACHED = 4096  # products
# Fields of a product that no other check reads.
TEXTS = ("asin", "title", "query", "product_category", "description", "price_tag")
FORM = dict.fromkeys(TEXTS, str) | {"price": float}


def write(folder: pathlib.Path, products: Mapping[str, Product]) -> None:
    """Writes both files; they appear when they are complete."""
    starts: dict[str, int] = {}
    lines, index = folder / LINES, folder / INDEX
    unfinished = lines.with_name(LINES + ".unfinished")
    with unfinished.open("wb") as file:
        for product in products.values():
            starts[product.asin] = file.tell()
            file.write(json.dumps(dataclasses.asdict(product)).encode() + b"\n")
        size = file.tell()
    index.unlink(missing_ok=True)  # of the lines that are about to go
    unfinished.rename(lines)
    half = index.with_name(INDEX + ".unfinished")
    half.write_text(json.dumps({"size": size, "starts": starts}), "utf-8")
    half.rename(index)


class Stored(Mapping[str, Product]):
    """The products of a folder by ASIN, in the order of the file. Raises Refused."""

    def __init__(self, folder: pathlib.Path):
        self.path = records.needed(folder, LINES)
        index = records.json_object(records.needed(folder, INDEX))
        self._starts = index.get("starts")
        self._cache: collections.OrderedDict[str, Product] = collections.OrderedDict()
        # Read by position: a worker that was forked shares the file's own.
        self._file = self.path.open("rb")
        size = os.fstat(self._file.fileno()).st_size
        if index.get("size") != size or not isinstance(self._starts, dict):
            raise Refused(
                f"{folder / INDEX} belongs to another {LINES}; make both anew with "
                "experiments.prepare_data --family=webshop --index"
            )

    @property
    def key(self) -> str:
        """What an index of these products is marked with."""
        return f"{len(self)} products, {os.fstat(self._file.fileno()).st_size} bytes"

    def __len__(self) -> int:
        return len(self._starts)

    def __iter__(self) -> Iterator[str]:
        return iter(self._starts)

    def __contains__(self, asin: object) -> bool:
        return asin in self._starts

    def __getitem__(self, asin: str) -> Product:
        if asin not in self._cache:
            self._cache[asin] = self._read(asin, self._starts[asin])
            if len(self._cache) > MOST_CACHED:
                self._cache.popitem(last=False)
        return self._cache[asin]

    def _read(self, asin: str, start: int) -> Product:
        line, size = b"", 1 << 14
        if type(start) is not int or not 0 <= start < 2**62:
            raise Refused(f"{self.path.with_name(INDEX)}: {asin} begins nowhere")
        while not line.endswith(b"\n") and size <= 2 * records.MOST_LINE:
            line = os.pread(self._file.fileno(), size, start).partition(b"\n")
            line, size = line[0] + line[1], size * 4
        try:
            value = json.loads(line)
            tuples = {name: tuple(value[name]) for name in ("bullets", "attributes")}
            options = {name: tuple(v) for name, v in value["options"].items()}
            product = Product(**value | tuples | {"options": options})
            if not all(type(getattr(product, n)) is t for n, t in FORM.items()):
                raise TypeError
            listed = (product.bullets, product.attributes, *product.options.values())
            if not all(isinstance(text, str) for texts in listed for text in texts):
                raise TypeError
            return product
        except (ValueError, TypeError, KeyError, AttributeError):
            raise Refused(f"{self.path}: the line of {asin} is damaged") from None
