"""Which runs are made together, and which of them next."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from steppo_jax import programs
from steppo_jax.ablation import warm
from steppo_jax.ablation.grid import Run


@dataclasses.dataclass(frozen=True)
class Batch:
    """Runs of one cell that are lanes of one program; one run alone."""

    runs: tuple[Run, ...]

    @property
    def shape(self) -> str:
        """Batches of equal shape use the same programs."""
        return f"{len(self.runs)} × {programs.shape(self.runs[0].config)}"

    @property
    def warm(self) -> frozenset[str]:
        """The warm starts it needs."""
        configs = (run.config for run in self.runs)
        return frozenset(warm.key(c) for c in configs if c.warm_start.success > 0)


def batches(runs: Sequence[Run], lanes: int) -> list[Batch]:
    """Up to `lanes` seeds of a cell at once; cells of equal shape stand together."""
    by_cell: dict[str, list[Run]] = {}
    for run in runs:
        by_cell.setdefault(run.cell.name, []).append(run)
    made = []
    for of_cell in by_cell.values():
        # Anchors by similar text are found between the programs, run by run.
        similar = of_cell[0].config.credit.similarity is not None
        size = 1 if similar else lanes
        made += [
            Batch(tuple(of_cell[i : i + size])) for i in range(0, len(of_cell), size)
        ]
    shapes = list(dict.fromkeys(batch.shape for batch in made))
    return sorted(made, key=lambda batch: shapes.index(batch.shape))


def choose(
    waiting: Sequence[Batch], last: str | None, others: Sequence[Batch]
) -> Batch:
    """The batch that a worker takes next.

    One of its last shape, whose programs it has; or a shape that nobody else works
    on. Among those, one whose warm start nobody else is making just now.
    """
    making: Collection[str] = frozenset().union(*(b.warm for b in others))
    shapes = {batch.shape for batch in others}

    def cost(place: int) -> tuple:
        batch = waiting[place]
        new = 2 if batch.shape in shapes else 1
        foreign = 0 if batch.shape == last else new
        return foreign, bool(batch.warm & making), place

    return waiting[min(range(len(waiting)), key=cost)]
