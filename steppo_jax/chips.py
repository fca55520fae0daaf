"""What accelerators can do, from their vendors' pages."""

from __future__ import annotations

from typing import NamedTuple


class Chip(NamedTuple):
    """One device."""

    gib: float
    tflops: float  # peak, bfloat16
    gigabits: float  # a second, its links to other chips together

    def seconds(self, flops: float, sent: float) -> tuple[float, float]:
        """Of so many flops at the peak rate, and of so many bytes that arrive by its
        links. Optimistic both: recomputation and latency are not in them.
        """
        return flops / (self.tflops * 1e12), sent * 8 / (self.gigabits * 1e9)


CHIPS = {  # by jax's device kind
    "TPU v4": Chip(32, 275, 2400),
    "TPU v5 lite": Chip(16, 197, 1600),
    "TPU v5": Chip(95, 459, 4800),
    "TPU v5p": Chip(95, 459, 4800),
    "TPU v6 lite": Chip(32, 918, 3584),
}
