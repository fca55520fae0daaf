"""Prefill, decoding and a training step of one language model.

What is counted as floating-point operations: 2 for each weight a token is multiplied
with (norms, embedding look-up, softmax and optimizer count nothing), and 4·C·H·K for
its attention to C places, in each layer; training counts three times a forward pass.
Logits count where they are made: in prefill for the last place of each prompt.
Recomputed logits of the backward pass count once.
"""

from __future__ import annotations

import dataclasses
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from steppo_jax.benchmarks import compiled, products, sizes
from steppo_jax.benchmarks.peer import Peer
from steppo_jax.benchmarks.turns import in_turns
from steppo_jax.engine import device
from steppo_jax.learner import forward, places
from steppo_jax.models import linear
from steppo_jax.models.decoder import DecoderConfig
from steppo_jax.models.heads import Policy
from steppo_jax.weights import huggingface

LIMIT = {"decode": 0.45, "train": 0.75}  # of the rate of prefill
RATE = 1e-5  # of AdamW, here and in peer_model.py
PEER_LIMIT = {"decode": 1.5, "train": 1.0}  # times the speed of the peer


@dataclasses.dataclass(frozen=True)
class Work:
    """How much is done in one call of each job."""

    slots: int = 32  # decoded together
    prompt: int = 128  # tokens of every prompt and of every row trained on
    steps: int = 8  # tokens decoded for each slot
    rows: int = 4  # prompts read, rows trained on

    def tokens(self, job: str) -> int:
        """That one call of the job reads, says, or trains on."""
        decoded = self.slots * self.steps
        return decoded if job == "decode" else self.rows * self.prompt

    def flops(self, config: DecoderConfig, weights: list[jax.Array], job: str) -> float:
        """As the docstring of this file counts."""
        body, head = weights[:-1], weights[-1:]
        tokens = self.tokens(job)
        each = 4.0 * config.layers * config.heads * config.head_width
        if job == "decode":
            seen = self.slots * sum(self.prompt + i + 1 for i in range(self.steps))
            return products.flops(weights, tokens) + each * seen
        seen = self.rows * self.prompt * (self.prompt + 1) / 2
        if job == "train":
            return 3 * (products.flops(weights, tokens) + each * seen)
        logits = products.flops(head, self.rows)
        return products.flops(body, tokens) + logits + each * seen


class Jobs:
    """The three jobs as calls; slots and training state are kept between them."""

    def __init__(self, config: DecoderConfig, params: Any, work: Work):
        policy, self._work = Policy(config), work
        sampler, self._params = policy, params
        if jax.default_backend() == "cpu":  # as the engine does
            sampler = Policy(dataclasses.replace(config, turned=True))
            self._params = linear.turn(params)
        self._slots = device.empty(policy, work.slots, 2 * (work.prompt + work.steps))
        shape = (work.slots, work.prompt)
        self._ids = jax.random.randint(jax.random.key(0), shape, 1, config.vocabulary)
        self._stop = jnp.asarray([-1], jnp.int32)
        optimizer = optax.adamw(RATE)
        copied = jax.tree.map(jnp.copy, params)
        self._state = copied, jax.jit(optimizer.init)(copied)
        reach = work.prompt + work.steps
        dynamic = self._params, self._slots
        self.programs = {
            "prefill": device.prefill.lower(sampler, *dynamic, *self._request(0)),
            "decode": device.decode.lower(
                sampler, *dynamic, self._stop, work.steps, reach
            ),
            "train": training_step(policy, optimizer).lower(
                *self._state, self._ids[: work.rows]
            ),
        }
        self.programs = {job: x.compile() for job, x in self.programs.items()}
        self._read(range(work.slots))

    def _request(self, slot: int) -> tuple:
        def one(value, kind=np.int32):
            return np.full((1,), value, kind)

        least, high = one(0), one(1, np.float32)
        asked = (one(2**30), (jax.random.key(slot),), high, least, high)
        ids = self._ids[slot][None]
        return one(slot), ids, one(self._work.prompt), least, asked

    def _read(self, slots) -> None:
        prefill = self.programs["prefill"]
        for i in slots:
            self._slots = prefill(self._params, self._slots, *self._request(i))

    def prefill(self) -> Any:
        """Reads `rows` prompts, one after the other, into their slots."""
        self._read(range(self._work.rows))
        return self._slots.logits

    def decode(self) -> Any:
        """`steps` tokens for every slot, each time after the prompt alone."""
        length = jnp.full((self._work.slots,), self._work.prompt, jnp.int32)
        slots = self._slots.replace(length=length)
        self._slots, *said = self.programs["decode"](self._params, slots, self._stop)
        return said

    def train(self) -> Any:
        """One step of AdamW on the mean log-prob of `rows` rows."""
        batch = self._ids[: self._work.rows]
        *self._state, loss = self.programs["train"](*self._state, batch)
        return loss


def training_step(policy: Policy, optimizer: optax.GradientTransformation) -> Any:
    """(params, state, tokens) → the same after one step, and the loss."""

    def loss(params, ids_SL):
        place = jnp.broadcast_to(jnp.arange(ids_SL.shape[1])[None], ids_SL.shape)
        inputs = (ids_SL, place, jnp.ones_like(ids_SL))
        log_prob_SL, _ = forward.log_probs(policy, params, inputs, 1.0)
        return -log_prob_SL[:, 1:].mean()

    def step(params, state, ids_SL):
        value, grads = jax.value_and_grad(loss)(params, ids_SL)
        change, state = optimizer.update(grads, state, params)
        return optax.apply_updates(params, change), state, value

    return jax.jit(step, donate_argnums=(0, 1))


def run(
    name: str, dtype: str, repeats: int, work: Work, peer: str | None = None
) -> dict[str, Any]:
    """All numbers of one model; `peer` is the interpreter of the peer, if any."""
    config, params = sizes.load(name, dtype)
    weights = products.matrices(params)
    with compiled.watched() as seconds:
        jobs = Jobs(config, params, work)
    calls = {"prefill": jobs.prefill, "decode": jobs.decode, "train": jobs.train}
    said = {job: compiled.describe(x) for job, x in jobs.programs.items()}
    calls |= bounds(weights, work)
    with tempfile.TemporaryDirectory() as folder:
        other, asks = None, {}
        if peer is not None:
            huggingface.save(pathlib.Path(folder), config, params)
            numbers = dataclasses.asdict(work) | {"threads": 0}
            other = Peer(peer, "peer_model", pathlib.Path(folder), **numbers)
            asks = other.asks(PEER_JOBS)
        took, theirs = in_turns(calls, asks, repeats)
        if other is not None:
            other.close()
    rows = [
        row(job, took, theirs, config, weights, work) | said[job]
        for job in ("prefill", "decode", "train")
    ]
    return {
        "model": name,
        "dtype": dtype,
        "weights": sum(x.size for x in weights),
        "work": dataclasses.asdict(work),
        "peer": None if other is None else other.about,
        "programs": len(seconds),
        "compile_seconds": sum(seconds),
        "peak_bytes": compiled.peak_bytes(),
        "rows": rows,
    }


def bounds(weights: list[jax.Array], work: Work) -> dict[str, Callable[[], Any]]:
    """The products of each job alone, over the rows that its program has at once."""
    body = weights[:-1]
    few = products.inputs(weights, work.slots)
    one = products.inputs(body, work.prompt)
    rows = work.rows * work.prompt
    many = products.inputs(weights, rows)
    head = products.inputs(weights[-1:], places.slices(rows, weights[-1].shape[0]))
    left, plain = (jax.jit(products.forward(x)) for x in (True, False))
    trained = jax.jit(products.trained)
    return {
        "prefill products": lambda: plain(body, one),
        "decode products": lambda: left(weights, few),
        "train products": lambda: trained(body, many),
        "train head": lambda: trained(weights[-1:], head),
    }


PEER_JOBS = ("prefill", "decode", "train")


def row(job: str, took, theirs, config, weights, work: Work) -> dict[str, Any]:
    """One job's numbers; shares are of rates, so of work and not of tokens."""

    def rate(name: str, flops: float) -> float:
        return flops / took[name].seconds

    own, flops = took[job], work.flops(config, weights, job)
    prefill = rate("prefill", work.flops(config, weights, "prefill"))
    body, head = weights[:-1], weights[-1:]
    if job == "train":
        rows = work.rows * work.prompt
        chunk = places.slices(rows, head[0].shape[0])
        needed = took["train products"].seconds
        needed += took["train head"].seconds * rows / chunk
        bound = products.flops(weights, rows, trained=True) / needed
    elif job == "decode":
        bound = rate("decode products", products.flops(weights, work.slots))
    else:
        bound = rate("prefill products", products.flops(body, work.prompt))
    peer = theirs.get(job)
    return {
        "job": job,
        "seconds": own.seconds,
        "spread": own.spread,
        "cpu_seconds": own.cpu_seconds,
        "tokens_per_second": work.tokens(job) / own.seconds,
        "flops": flops,
        "flop_rate": flops / own.seconds,
        "of_prefill": flops / own.seconds / prefill,
        "limit": LIMIT.get(job),
        "product_rate": bound,
        "of_products": flops / own.seconds / bound,
        "peer_seconds": None if peer is None else peer.seconds,
        "peer_cpu_seconds": None if peer is None else peer.cpu_seconds,
        "times_peer": None if peer is None else peer.seconds / own.seconds,
        "peer_limit": PEER_LIMIT.get(job),
    }
