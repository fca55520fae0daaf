"""Compiles a run's programs for devices that need not be here, and says if they fit.

    python -m experiments.compile_check --topology=v5p:4x4x4 \\
        --config=configs/paper_scale.py:qwen3_4b
    python -m experiments.compile_check --config=configs/household.py:steppo

With --topology for TPUs, through libtpu and without a TPU (pip install
'steppo_jax[aot]'); without, for the local devices. Exit code 1 where a program does not
fit, 2 where the question is wrong. docs/pod.md has what it found.
"""

from __future__ import annotations

import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

from absl import flags
from rich.console import Console
from rich.table import Table

from experiments import devices, entry
from steppo_jax import ahead, settings
from steppo_jax.chips import CHIPS
from steppo_jax.errors import Refused

CONFIG = entry.define_config()
TOPOLOGY = flags.DEFINE_string(
    "topology", None, "TPU slice such as v5e:16x16, v5p:4x4x4 or v6e:16x16."
)
GIB = flags.DEFINE_float(
    "gib", None, "GiB of one device, where the device does not say.", lower_bound=0
)
TEXT = flags.DEFINE_string("text", None, "FILE for the compiled text of the update.")
ROLLOUT = flags.DEFINE_bool("rollout", True, "Compile the rollout too.")


def show(p, accounts: list[ahead.Account], limit: float | None) -> Table:
    """The table for people; bytes are those of each device."""
    kind = p.devices.devices[0].device_kind
    count = len(p.devices.devices)
    table = Table(title=f"{p.config.preset} on {count} × {kind}", width=88)
    for name in ("", *(a.name for a in accounts)):
        table.add_column(name)
    for name, (size, held) in ahead.parameters(p).items():
        if size:
            table.add_row(f"{name}: {size / 1e9:.2f} G numbers, GiB", _gib(held))
    for name in ("arguments", "results", "between", "total"):
        table.add_row(f"{name}, GiB", *(_gib(getattr(a, name)) for a in accounts))
    if limit:
        table.add_row("of a device, GiB", f"{limit:.1f}")
    for kind_of in ahead.hlo.KINDS:
        sent = [a.sent[kind_of] for a in accounts]
        if any(sent):
            table.add_row(f"{kind_of}, GiB a run", *map(_gib, sent))
    table.add_row(
        "model flops a run, PFLOP", *(f"{a.flops / 1e15:,.2f}" for a in accounts)
    )
    if chip := CHIPS.get(kind):
        found = [chip.seconds(a.flops / count, sum(a.sent.values())) for a in accounts]
        table.add_row("… at the peak rate, s", *(f"{made:,.1f}" for made, _ in found))
        table.add_row("sent, at the links' rate, s", *(f"{s:,.1f}" for _, s in found))
        shares = [made / (made + sent or 1) for made, sent in found]
        table.add_row(
            "utilisation if these do not overlap, at most",
            *(f"{share:.0%}" if share else "" for share in shares),
        )
    table.add_row(
        "compiler: flops, loops once, T",
        *(f"{a.compiler_flops / 1e12:,.2f}" for a in accounts),
    )
    if any((a.compiler_seconds or 0) > 0 for a in accounts):  # or no estimate
        table.add_row(
            "compiler: seconds, loops once",
            *(f"{a.compiler_seconds or 0:,.3f}" for a in accounts),
        )
    return table


def _gib(size: float) -> str:
    return f"{size / ahead.GIB:,.2f}"


def _compiled(name: str, make: Callable[[], Any]) -> Any:
    began = time.perf_counter()
    try:
        found = make()
    except ahead.DoesNotFit as error:
        print(f"{name} does not fit: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{name}: compiled in {time.perf_counter() - began:,.0f} s", flush=True)
    return found


def main() -> None:
    config = CONFIG.value
    settings.check(config)
    found = None
    if TOPOLOGY.value:
        found = devices.of_topology(TOPOLOGY.value, config)
    elif config.model.attention == "splash":
        raise Refused(
            "config.model.attention='splash' is the TPU's kernel; give --topology, or "
            "set --config.model.attention=blocks"
        )
    else:
        devices.settle(config)
    p = ahead.build(config, found)
    chip = CHIPS.get(p.devices.devices[0].device_kind)
    limit = GIB.value or (chip and chip.gib)
    played = []  # first: it is refused at once where chips do not divide
    if ROLLOUT.value and config.lm.weights is not None:
        played = _compiled("engine", lambda: ahead.engine(p))
    updated, text = _compiled("update", lambda: ahead.update(p))
    if TEXT.value:
        pathlib.Path(TEXT.value).write_text(text, encoding="utf-8")
    if ROLLOUT.value and config.lm.weights is None:
        played = [_compiled("rollout", lambda: ahead.rollout(p))[0]]
    accounts = [updated, *played]
    Console(width=88).print(show(p, accounts, limit))
    most = max(a.total for a in accounts) / ahead.GIB
    if limit and most > limit:
        print(f"does not fit: {most:.1f} GiB of {limit:.1f}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    entry.launch(main, "config")
