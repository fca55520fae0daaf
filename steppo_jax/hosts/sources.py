"""Where the official files come from, under which licence, and what they must hold.

Checksums are of the copies that the readers were tested with; where none is known a
file is judged by the number of its records, as its authors state it.
"""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Source:
    """One file of a data folder."""

    name: str  # in the folder
    official: str  # as its authors call it
    url: str
    licence: str
    needed: bool = False  # the family cannot play its official tasks without it
    count: int | None = None  # records; a .json that has a number of them is a list
    sha256: str | None = None


_WEBSHOP = "Princeton WebShop licence: research only, not commercial"
_DRIVE = "https://drive.google.com/uc?id="
_HOTPOT = "https://hotpotqa.github.io (curtis.ml.cmu.edu/datasets/hotpot/)"
_WIKI = "https://github.com/Alab-NII/2wikimultihop (data_ids_april7.zip)"
_MUSIQUE = "https://github.com/StonyBrookNLP/musique (download_data.sh)"
_PASA = "https://huggingface.co/datasets/CarlanLark/pasa-dataset"
_PASA_LICENCE = "as stated by the PaSa project"


def _webshop(name: str, drive: str, needed: bool = False) -> Source:
    return Source(name, name, _DRIVE + drive, _WEBSHOP, needed)


def _pasa(folder: str, part: str, count: int | None, sha256: str | None) -> Source:
    name = f"{folder}/{part}.jsonl"
    needed = folder == "RealScholarQuery"
    return Source(name, name, _PASA, _PASA_LICENCE, needed, count, sha256)


FILES: dict[str, tuple[Source, ...]] = {
    "webshop": (
        _webshop("items_shuffle.json", "1A2whVgOO0euk5O13n2iYDM0bQRkkRduB"),
        _webshop("items_ins_v2.json", "1s2j6NgHljiZzQNL3veZaAiyW_qDEgBNi"),
        _webshop("items_shuffle_1000.json", "1EgHdxQ_YxqIQlvvq5iKlCrkEKR6-j0Ib"),
        _webshop("items_ins_v2_1000.json", "1IduG0xl544V_A_jv3tHXC0kyFi7PnyBu"),
        _webshop("items_human_ins.json", "14Kb5SPBk_jfdLZ_CDBNitW98QLDlKR5O", True),
    ),
    "hotpotqa": (
        Source(
            *("hotpot_train_v1.1.jsonl", "hotpot_train_v1.1.json", _HOTPOT),
            *("CC BY-SA 4.0", True, 90_447),
        ),
        Source(
            *("hotpot_dev_distractor_v1.jsonl", "hotpot_dev_distractor_v1.json"),
            *(_HOTPOT, "CC BY-SA 4.0", True, 7_405),
        ),
        Source("2wiki/dev.jsonl", "dev.json", _WIKI, "Apache-2.0", count=12_576),
        Source("2wiki/id_aliases.jsonl", "id_aliases.json", _WIKI, "Apache-2.0"),
        Source(
            *("musique/musique_ans_v1.0_dev.jsonl", "musique_ans_v1.0_dev.jsonl"),
            *(_MUSIQUE, "CC BY 4.0", False, 2_417),
        ),
    ),
    "paper_search_real": (
        _pasa("AutoScholarQuery", "train", 33_551, None),
        _pasa(
            *("AutoScholarQuery", "dev", 1_000),
            "d211a33f8171bd847331a34b0b4ea98e3ce06f2b1d64ff3f35b633407cb1d082",
        ),
        _pasa("AutoScholarQuery", "test", None, None),
        _pasa(
            *("RealScholarQuery", "test", 50),
            "b3b570411ce2399ce4ea145ba9b2d3d0048b248030edeeb44ba95a7e9dc575c2",
        ),
    ),
}
