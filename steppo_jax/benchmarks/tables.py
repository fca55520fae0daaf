"""Tables for people of models, parts of a run and peers, at most 88 columns wide.

Under `prefill` and `products` stand shares of the rate of prefill and of that of the
matrix products alone.
"""

from __future__ import annotations

from typing import Any

from rich.table import Table

WIDTH = 88


def of_model(found: dict[str, Any]) -> Table:
    """Prefill, decoding and training of one model."""
    work = found["work"]
    title = (
        f"{found['model'].rpartition('/')[2]}, {found['dtype']}: {work['rows']} × "
        f"{work['prompt']} tokens read and trained on, {work['slots']} slots decoded"
    )
    names = ("job", "tokens/s", "spread", "CPU s/s", "GFLOP/s", "prefill")
    table = _table(title, (*names, "products", "× peer"))
    for row in found["rows"]:
        table.add_row(
            row["job"],
            f"{row['tokens_per_second']:,.0f}",
            f"{row['spread'] / row['seconds']:.0%}",
            f"{row['cpu_seconds'] / row['seconds']:.1f}",
            f"{row['flop_rate'] / 1e9:,.1f}",
            f"{row['of_prefill']:.0%}" + _missed(row["of_prefill"], row["limit"]),
            f"{row['of_products']:.0%}",
            _times(row["times_peer"], row["peer_limit"]),
        )
    table.caption = _caption(found)
    return table


def of_parts(found: dict[str, Any]) -> Table:
    """Rollout, update and iteration of one configuration."""
    title = f"{found['config']}, {found['devices']} devices"
    table = _table(
        title,
        ("part", "ms", "spread", "CPU ms", "tokens/s", "GFLOP/s", "products"),
    )
    for row in found["rows"]:
        table.add_row(
            row["part"],
            f"{row['seconds'] * 1e3:,.1f}",
            f"{row['spread'] / row['seconds']:.0%}",
            f"{row['cpu_seconds'] * 1e3:,.1f}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['flops'] / row['seconds'] / 1e9:,.1f}",
            f"{row['of_products']:.0%}" + _missed(row["of_products"], row["limit"]),
        )
    table.caption = _caption(found)
    return table


def of_tunix(found: dict[str, Any]) -> Table:
    """Iterations beside those of google-tunix; times in milliseconds."""
    title = f"Beside google-tunix {found['peer']['google-tunix']}: "
    title += f"{found['weights'] / 1e6:.1f} M weights, one device"
    names = ("method", "ms", "spread", "tokens/s", "peer ms", "tokens/s", "× peer")
    table = _table(title, (*names, "by CPU", "products ms", "at most ×"))
    for row in found["rows"]:
        table.add_row(
            row["method"],
            f"{row['seconds'] * 1e3:,.0f}",
            f"{row['spread'] / row['seconds']:.0%}",
            f"{row['tokens_per_second']:,.0f}",
            f"{row['peer_seconds'] * 1e3:,.0f}",
            f"{row['peer_tokens_per_second']:,.0f}",
            _times(row["times_peer"], row["peer_limit"]),
            f"{row['cpu_times_peer']:.2f}",
            f"{row['products_seconds'] * 1e3:,.0f}",
            f"{row['most_times_peer']:.2f}",
        )
    return table


def of_credit_peer(found: dict[str, Any]) -> Table:
    """Credit beside the official way in PyTorch; times in milliseconds."""
    peer = found["peer"]
    title = f"Credit beside PyTorch {peer['torch']}, {peer['threads']} threads"
    names = ("call", "ms", "spread", "CPU ms", "peer ms", "CPU ms", "× peer", "by CPU")
    table = _table(title, names)
    for row in found["rows"]:
        own = (row[x] * 1e3 for x in ("seconds", "spread", "cpu_seconds"))
        other = (row[x] * 1e3 for x in ("peer_seconds", "peer_cpu_seconds"))
        table.add_row(
            row["call"],
            *(f"{x:,.1f}" for x in (*own, *other)),
            _times(row["times_peer"], row["peer_limit"]),
            f"{row['cpu_times_peer']:.2f}",
        )
    return table


def _table(title: str, columns: tuple[str, ...]) -> Table:
    table = Table(title=title)
    for name in columns:
        table.add_column(name, no_wrap=True)
    return table


def _times(value: float | None, limit: float | None) -> str:
    return "" if value is None else f"{value:.2f}" + _missed(value, limit)


def _missed(value: float, limit: float | None) -> str:
    return "" if limit is None or value >= limit else " missed"


def _caption(found: dict[str, Any]) -> str:
    return (
        f"{found['programs']} programs compiled in {found['compile_seconds']:.0f} s; "
        f"peak memory {found['peak_bytes'] / 2**30:.2f} GiB"
    )
