"""Layout `packed`: several sequences share one, kept apart by their segments.

Sequences are laid into bins of one width by first fit, longest first: each goes into
the first bin that still has room. A bin is never opened while an older one has room,
so all but the last opened hold more than W − L tokens (W the width, L the longest
sequence), and `bins_for` is enough whatever the lengths are. Everything is indices:
tables are gathered into the bins, and results are gathered back.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax.structs import NO_SEQUENCE, NO_STEP, Tokens


@struct.dataclass
class Packing:
    """Where n of the S sequences of a table [S, L] stand in Z bins of W places."""

    source: jax.Array  # [Z, W] int32, s·L + l of the table that stands here, or -1
    start: jax.Array  # [S] int32, z·W + w where the sequence begins, or -1
    length: jax.Array  # [S] int32, places that are taken from its beginning, or 0
    count: jax.Array  # [] int32, bins that hold anything: the first ones
    columns: int = struct.field(pytree_node=False)  # L of the table

    @property
    def used(self) -> jax.Array:
        """[] int32 places of the bins that hold a token."""
        return (self.source >= 0).sum()

    @property
    def places(self) -> jax.Array:
        """[] int32 places of the bins that hold anything, empty ones included."""
        return self.count * self.source.shape[1]

    def take(self, x_SL: jax.Array, fill: float = 0) -> jax.Array:
        """[Z, W] the table laid into the bins, `fill` where nothing stands."""
        there = x_SL.ravel()[jnp.maximum(self.source, 0)]
        return jnp.where(self.source < 0, jnp.asarray(fill, x_SL.dtype), there)

    def back(self, x_ZW: jax.Array) -> jax.Array:
        """[S, L] what the bins hold, where it came from; 0 elsewhere."""
        place_L = jnp.arange(self.columns, dtype=jnp.int32)
        here_SL = place_L[None] < self.length[:, None]
        at_SL = jnp.where(here_SL, self.start[:, None] + place_L[None], 0)
        return jnp.where(here_SL, x_ZW.ravel()[at_SL], jnp.zeros((), x_ZW.dtype))

    def tokens(self, tokens: Tokens) -> Tokens:
        """The table's sequences in the bins; addresses outside of them are -1."""
        width = self.source.shape[1]

        def moved(at_B2: jax.Array) -> jax.Array:
            s, place = jnp.maximum(at_B2[:, 0], 0), at_B2[:, 1]
            there = (at_B2[:, 0] >= 0) & (place < self.length[s])
            flat = self.start[s] + place
            to = jnp.stack([flat // width, flat % width], axis=1)
            return jnp.where(there[:, None], to, NO_SEQUENCE).astype(jnp.int32)

        return Tokens(
            token=self.take(tokens.token),
            position=self.take(tokens.position),
            # Each sequence is one segment; its number in the table tells them apart.
            segment=jnp.where(self.source < 0, 0, self.source // self.columns + 1),
            step_id=self.take(tokens.step_id, NO_STEP),
            behaviour_log_prob=self.take(tokens.behaviour_log_prob),
            policy_version=self.take(tokens.policy_version),
            value_at=moved(tokens.value_at),
            next_value_at=moved(tokens.next_value_at),
            prompt_columns=width,
        )


def bins_for(sequences: int, width: int, longest: int) -> int:
    """Bins that are enough for so many sequences.

    All but the last hold more than width − longest tokens: ⌊width / longest⌋
    sequences or more each.
    """
    return min(sequences // (width // longest) + 1, sequences)


def first_fit(
    length_n: jax.Array, width: int, bins: int
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """(bin [n], place in it [n], number of bins) of items in the order given.

    Items of length 0 stand nowhere and open no bin.
    """

    def put(room_Z, length):
        z = jnp.argmax(room_Z >= length).astype(jnp.int32)
        return room_Z.at[z].add(-length), (z, width - room_Z[z])

    room_Z = jnp.full((bins,), width, length_n.dtype)
    room_Z, (bin_n, place_n) = jax.lax.scan(put, room_Z, length_n)
    return bin_n, place_n, (room_Z < width).sum().astype(jnp.int32)


def pack(
    length_S: jax.Array,
    columns: int,
    width: int,
    *,
    longest: int | None = None,
    sequence_n: jax.Array | None = None,
) -> Packing:
    """Packs the sequences with a length above 0.

    Args:
      length_S: places to take from the beginning of each sequence of the table.
      columns: L of the table.
      width: places of a bin, `longest` or more.
      longest: most places that are taken of a sequence; L by default.
      sequence_n: the only sequences to look at, each once; all by default.
    """
    S = length_S.shape[0]
    if sequence_n is None:
        sequence_n = jnp.arange(S, dtype=jnp.int32)
    bins = bins_for(sequence_n.shape[0], width, longest or columns)
    length_n = length_S[sequence_n].astype(jnp.int32)
    order = jnp.argsort(-length_n, stable=True)
    length_n, sequence_n = length_n[order], sequence_n[order]
    bin_n, place_n, count = first_fit(length_n, width, bins)
    # What is not packed is sent out of range, where a scatter drops it.
    start_n = jnp.where(length_n > 0, bin_n * width + place_n, bins * width)
    owner = jnp.full((bins * width,), NO_SEQUENCE, jnp.int32)
    owner_ZW = owner.at[start_n].set(sequence_n, mode="drop").reshape(bins, width)
    place_W = jnp.arange(width, dtype=jnp.int32)[None]
    begins_ZW = jax.lax.cummax(jnp.where(owner_ZW >= 0, place_W, 0), axis=1)
    who_ZW = jnp.take_along_axis(owner_ZW, begins_ZW, axis=1)
    place_ZW = place_W - begins_ZW
    inside = (who_ZW >= 0) & (place_ZW < length_S[jnp.maximum(who_ZW, 0)])
    to_n = jnp.where(length_n > 0, sequence_n, S)
    none_S = jnp.zeros((S,), jnp.int32)
    return Packing(
        source=jnp.where(inside, who_ZW * columns + place_ZW, -1).astype(jnp.int32),
        start=(none_S - 1).at[to_n].set(start_n.astype(jnp.int32), mode="drop"),
        length=none_S.at[to_n].set(length_n, mode="drop"),
        count=count,
        columns=columns,
    )


def lengths(tokens: Tokens) -> jax.Array:
    """[S] int32 places of each sequence in use, where they are its first ones."""
    return (tokens.segment > 0).sum(axis=1).astype(jnp.int32)


def read_lengths(tokens: Tokens, wanted_B: jax.Array) -> jax.Array:
    """[S] int32 places up to the last one where a step of `wanted_B` [B] is valued."""
    S = tokens.token.shape[0]
    sequence, place = tokens.value_at[:, 0], tokens.value_at[:, 1]
    to = jnp.where(wanted_B & (sequence >= 0), sequence, S)
    return jnp.zeros((S,), jnp.int32).at[to].max(place + 1, mode="drop")
