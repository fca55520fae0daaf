"""How an ablation file is written: cells are what `experiments.train --config=` takes.

    {"low": "household:steppo,objective.clip_low=0.01", …}

is the cell `low`: configs/household.py with the method steppo and one field changed.
`every` is put between the method and a cell's own fields. The argument `smoke` makes
each run one of seconds (configs/common.py) with two seeds, leaves `every` out, and in a
large grid all but a few cells, so that it ends within two minutes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence

from steppo_jax import envs
from steppo_jax.ablation.grid import Ablation, Cell
from steppo_jax.errors import Refused
from steppo_jax.settings.errors import unknown

SMOKE_SEEDS = (0, 1)


def build(
    name: str,
    arg: str,
    cells: Mapping[str, str],
    *,
    every: str = "",
    seeds: Iterable[int] = range(5),
    smoke: Sequence[str] = (),
) -> Ablation:
    """The ablation of a file. Raises Refused, naming the cell, for text that is wrong.

    Args:
      arg: what follows the colon of --config: nothing, or `smoke`.
      smoke: the cells of the smoke form; all of them if empty.
    """
    if arg not in ("", "smoke"):
        raise unknown(f"--config=….py:{arg}: argument", arg, ["smoke"])
    if not arg:
        made = tuple(_cell(cell, text, every) for cell, text in cells.items())
        return Ablation(name, made, tuple(seeds))
    few = {cell: cells[cell] for cell in smoke or cells}
    made = tuple(_cell(cell, text, "smoke") for cell, text in few.items())
    return Ablation(f"{name},smoke", made, SMOKE_SEEDS, smoke=True)


def _cell(name: str, text: str, every: str) -> Cell:
    environment, colon, words = text.partition(":")
    try:
        if not colon or environment not in envs.names():
            raise unknown("environment", environment, envs.names())
        method, *fields = words.split(",")
        words = ",".join([method, *filter(None, [every]), *fields])
        config = importlib.import_module(f"configs.{environment}").get_config(words)
    except Refused as error:
        raise Refused(f"cell {name} ({text}): {error}") from None
    return Cell(name, f"configs/{environment}.py:{words}", config)
