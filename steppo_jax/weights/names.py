"""Where each tensor of a HuggingFace checkpoint belongs in our parameter tree."""

from __future__ import annotations

import dataclasses
import math
from typing import Protocol

import numpy as np

from steppo_jax.models.decoder import DecoderConfig

Path = tuple[str, ...]
Index = tuple[slice, ...]


class Stored(Protocol):
    """A tensor somewhere else, of which parts can be read. NumPy arrays are some."""

    shape: tuple[int, ...]

    def __getitem__(self, index: Index) -> np.ndarray: ...


@dataclasses.dataclass(frozen=True)
class Entry:
    """One tensor under both names.

    A matrix is [out, in] there and [in…, out…] here, with heads as axes of their
    own; everything else has the same layout on both sides.
    """

    theirs: str
    ours: Path
    their_shape: tuple[int, ...]
    our_shape: tuple[int, ...]

    @property
    def is_matrix(self) -> bool:
        return self.ours[-1] == "kernel"

    def read(self, stored: Stored, index: Index) -> np.ndarray:
        """The part `index` of our array, from a tensor in their layout.

        Of a matrix only the rows and columns are read that hold it: a block in the
        first axis of the inputs and the first of the outputs; a finer cut inside
        (part of a head) is made after reading.
        """
        if not self.is_matrix:
            if self.our_shape == self.their_shape:
                return stored[index]
            return self.to_ours(stored[(slice(None),)])[index]
        inside = self.their_shape[1]
        axes = range(1, len(self.our_shape))
        cut = next(i for i in axes if math.prod(self.our_shape[:i]) == inside)
        sizes = (self.our_shape[:cut], self.our_shape[cut:])
        indices = (index[:cut], index[cut:])
        columns, rows = (_lines(n[0], n, at[0]) for n, at in zip(sizes, indices))
        block = stored[(rows, columns)].T
        block = block.reshape(-1, *sizes[0][1:], block.shape[1])
        block = block.reshape(*block.shape[:-1], -1, *sizes[1][1:])
        whole = slice(None)
        return block[(whole, *indices[0][1:], whole, *indices[1][1:])]

    def to_ours(self, x: np.ndarray) -> np.ndarray:
        return (x.T if self.is_matrix else x).reshape(self.our_shape)

    def to_theirs(self, x: np.ndarray) -> np.ndarray:
        if self.is_matrix:
            x = x.reshape(self.their_shape[::-1]).T
        return x.reshape(self.their_shape)


def _lines(first: int, sizes: tuple[int, ...], at: slice) -> slice:
    """The rows of a flattened group of axes that a slice of its first one holds."""
    start, stop, step = at.indices(first)
    assert step == 1, "shards are contiguous"
    each = math.prod(sizes[1:])
    return slice(start * each, stop * each)


def entries(config: DecoderConfig) -> tuple[Entry, ...]:
    """Every tensor of a policy of these sizes, in the order of the layers."""
    c = config
    D, H, G, K, F = c.width, c.heads, c.kv_heads, c.head_width, c.mlp_width
    out = [
        Entry(
            "model.embed_tokens.weight",
            ("params", "decoder", "embedding", "embedding"),
            (c.vocabulary, D),
            (c.vocabulary, D),
        )
    ]
    for i in range(c.layers):
        theirs, ours = f"model.layers.{i}", ("params", "decoder", f"block_{i}")

        def add(their_name, our_name, their_shape, our_shape, at=(theirs, ours)):
            path = (*at[1], *our_name.split("/"))
            out.append(Entry(f"{at[0]}.{their_name}", path, their_shape, our_shape))

        add("input_layernorm.weight", "attention_norm/scale", (D,), (D,))
        for name, ours_, heads in (
            ("q_proj", "query", H),
            ("k_proj", "key", G),
            ("v_proj", "value", G),
        ):
            of, to = f"self_attn.{name}", f"attention/{ours_}"
            add(f"{of}.weight", f"{to}/kernel", (heads * K, D), (D, heads, K))
            if c.qkv_bias:
                add(f"{of}.bias", f"{to}/bias", (heads * K,), (heads, K))
        if c.qk_norm:
            add("self_attn.q_norm.weight", "attention/query_norm/scale", (K,), (K,))
            add("self_attn.k_norm.weight", "attention/key_norm/scale", (K,), (K,))
        add("self_attn.o_proj.weight", "attention/out/kernel", (D, H * K), (H, K, D))
        add("post_attention_layernorm.weight", "mlp_norm/scale", (D,), (D,))
        add("mlp.gate_proj.weight", "mlp/gate/kernel", (F, D), (D, F))
        add("mlp.up_proj.weight", "mlp/up/kernel", (F, D), (D, F))
        add("mlp.down_proj.weight", "mlp/down/kernel", (D, F), (F, D))
    final = ("params", "decoder", "final_norm", "scale")
    out.append(Entry("model.norm.weight", final, (D,), (D,)))
    if not c.tie_embeddings:
        shape = (c.vocabulary, D)
        out.append(
            Entry("lm_head.weight", ("params", "head", "kernel"), shape, shape[::-1])
        )
    return tuple(out)
