"""Continuous batching: a queue of requests, fixed slots, one compiled decode.

A finished slot is refilled before the next decode. A slot remembers the ids whose
keys and values it holds; a prompt that extends them is read from there on only, so
an append-only trajectory is never read twice.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.engine import device
from steppo_jax.engine.requests import Completion, EngineError, Request
from steppo_jax.engine.spread import Spread
from steppo_jax.mesh import Mesh
from steppo_jax.models import linear
from steppo_jax.models.heads import Policy


@dataclasses.dataclass(frozen=True)
class Counts:
    """Tokens of an engine's work since it was made."""

    busy: int  # sampled
    decoded: int  # places of the decoding programs, used or not
    prefilled: int  # prompt tokens read
    reused: int  # prompt tokens that a slot still held

    def minus(self, before: Counts) -> Counts:
        """What was done after `before`."""
        both = zip(dataclasses.astuple(self), dataclasses.astuple(before), strict=True)
        return Counts(*(now - then for now, then in both))

    def shares(self) -> dict[str, float]:
        """Shares of what was done, as metrics."""
        read, reused = self.prefilled, self.reused
        return {
            "rollout/slots_busy": self.busy / max(self.decoded, 1),
            "rollout/prompt_tokens_read": float(read),
            "rollout/prompt_reused": reused / max(read + reused, 1),
        }


@dataclasses.dataclass
class _Slot:
    """The host's side of one slot."""

    held: list[int] = dataclasses.field(default_factory=list)  # ids in the cache
    ticket: int | None = None  # of the request it serves
    token: list[int] = dataclasses.field(default_factory=list)
    log_prob: list[float] = dataclasses.field(default_factory=list)
    version: list[int] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class _Read:
    """A prompt that is about to be read into a slot."""

    slot: int
    ticket: int
    request: Request
    start: int  # places that the slot holds already


class Engine:
    """Serves requests with one policy; not thread-safe, one owner calls it.

    Args:
      stop: token ids that end a response (kept as its last token).
      slots: responses decoded together.
      longest: most places of prompt and response together.
      buckets: lengths that prompt tails are padded to, rising; one compile each.
      steps: tokens decoded between two looks at the queue.
      reach: places of the cache that a decode looks at, doubled until they hold all
        that was said; one compile each.
      turn: whether to hold a copy of the weights with every kernel [out, in]
        (`models.linear`): faster where XLA's kernels read them as they lie, on CPU.
        None: on CPU only.
      decode: text of token ids; needed for stop texts only.
      mesh: devices to work on (`engine.spread`), whose parameters `params` are; they
        are never turned there. None: one device.
    """

    def __init__(
        self,
        policy: Policy,
        params: Any,
        stop: Sequence[int],
        *,
        slots: int,
        longest: int,
        buckets: Sequence[int] = (32, 64, 128, 192, 256, 384, 512, 1024, 2048),
        steps: int = device.STEPS,
        reach: int = 128,
        turn: bool | None = None,
        decode: Callable[[Sequence[int]], str] | None = None,
        mesh: Mesh | None = None,
    ):
        self._buckets = (*(b for b in buckets if b < longest), longest)
        if list(self._buckets) != sorted(set(self._buckets)) or self._buckets[0] < 1:
            raise EngineError(f"buckets={tuple(buckets)}: give rising lengths from 1")
        on_cpu = mesh is None and jax.default_backend() == "cpu"
        self._turn = on_cpu if turn is None else turn
        if self._turn and mesh is not None:
            raise EngineError("turn=True: weights are not turned on a mesh; leave it")
        if self._turn:
            policy = Policy(dataclasses.replace(policy.config, turned=True))
        self._programs: Any = device  # or an object with the same functions
        if mesh is not None:
            self._programs = Spread(mesh, policy, slots)
        self._pieces = 1 if mesh is None else self._programs.pieces
        self._policy, self._params, self.version = policy, self._laid(params), 0
        self._stop = jnp.asarray(tuple(stop), jnp.int32)
        self._stop_ids = frozenset(stop)
        if reach < 1:
            raise EngineError(f"reach={reach}: give 1 or more")
        self._longest, self._steps, self._text = longest, steps, decode
        self._least = reach
        self._device = self._programs.empty(policy, slots, longest)
        self._slots = [_Slot() for _ in range(slots)]
        self._queue: collections.deque[tuple[int, Request]] = collections.deque()
        self._requests: dict[int, Request] = {}
        self._tickets = 0
        self.busy = self.decoded = self.prefilled = self.reused = 0

    def counts(self) -> Counts:
        """What was done so far."""
        return Counts(self.busy, self.decoded, self.prefilled, self.reused)

    @property
    def slots(self) -> int:
        """Responses decoded together."""
        return len(self._slots)

    @property
    def waiting(self) -> int:
        """Requests not yet answered."""
        return len(self._requests)

    def submit(self, request: Request) -> int:
        """Queues a request; its ticket comes back with the answer."""
        if not request.prompt:
            raise EngineError("the prompt is empty; give at least one token")
        if request.max_new < 1:
            raise EngineError(f"max_new={request.max_new}: give 1 or more")
        total = len(request.prompt) + request.max_new
        if total > self._longest:
            raise EngineError(
                f"prompt of {len(request.prompt)} tokens + max_new={request.max_new} "
                f"= {total} exceed the engine's {self._longest}; shorten the prompt "
                "or make the engine with a larger `longest`"
            )
        top = max(request.prompt)
        if top >= self._policy.config.vocabulary or min(request.prompt) < 0:
            raise EngineError(f"token {top} is not in the vocabulary")
        if request.stop and self._text is None:
            raise EngineError("stop texts need an engine made with `decode`")
        self._tickets += 1
        self._requests[self._tickets] = request
        self._queue.append((self._tickets, request))
        return self._tickets

    def refresh(self, params: Any, version: int) -> None:
        """New weights from the next token on; what slots hold is read anew.

        A response in flight goes on under the new weights over its old cache, and
        its tokens tell by version who sampled them.
        """
        self._params, self.version = self._laid(params), version
        for slot in self._slots:
            slot.held = []

    def leave(self) -> None:
        """Lets go of the weights; `refresh` has to come before the next token."""
        self._params = None

    def step(self) -> list[tuple[int, Completion]]:
        """Fills free slots, decodes a few tokens, returns what was finished."""
        while self._queue and any(s.ticket is None for s in self._slots):
            self._fill()
        if all(s.ticket is None for s in self._slots):
            return []
        self._device, token, log_prob, said = self._programs.decode(
            self._policy,
            self._params,
            self._device,
            self._stop,
            self._steps,
            self._reach(),
        )
        token, log_prob, said = (np.asarray(x) for x in (token, log_prob, said))
        self.busy += int(said.sum())
        self.decoded += said.size
        done = []
        for i, slot in enumerate(self._slots):
            if slot.ticket is None:
                continue
            n = int(said[:, i].sum())
            slot.token += token[:n, i].tolist()
            slot.log_prob += log_prob[:n, i].tolist()
            slot.version += [self.version] * n
            finish = self._finish(slot)
            if finish is not None:
                done.append((slot.ticket, self._close(i, slot, finish)))
        return done

    def so_far(self, ticket: int) -> list[int]:
        """Tokens sampled for a request that is being answered; [] for any other."""
        found = (slot.token for slot in self._slots if slot.ticket == ticket)
        return list(next(found, ()))

    def run(self, requests: Iterable[Request]) -> list[Completion]:
        """Answers to all requests, in their order."""
        tickets = [self.submit(request) for request in requests]
        found: dict[int, Completion] = {}
        while len(found) < len(tickets):
            found |= dict(self.step())
        return [found[ticket] for ticket in tickets]

    def _laid(self, params: Any) -> Any:
        """The weights as the engine's programs read them."""
        if self._programs is not device:
            return self._programs.laid(params)
        return linear.turn(params) if self._turn else params

    def _fill(self) -> None:
        """Gives the oldest requests free slots, at most one in each piece."""
        each = len(self._slots) // self._pieces
        free = {i for i, slot in enumerate(self._slots) if slot.ticket is None}
        reads: list[_Read] = []
        while self._queue and free:
            reads.append(self._best(free, *self._queue.popleft()))
            piece = reads[-1].slot // each
            free -= set(range(piece * each, (piece + 1) * each))
        longest = max(len(r.request.prompt) - r.start for r in reads)
        bucket = next(b for b in self._buckets if b >= longest)
        P = self._pieces
        token, slot = np.zeros((P, bucket), np.int32), np.full((P,), each, np.int32)
        real, start = np.ones((P,), np.int32), np.zeros((P,), np.int32)
        limit, top_k = np.ones((P,), np.int32), np.zeros((P,), np.int32)
        temperature, top_p = np.ones((P,), np.float32), np.ones((P,), np.float32)
        keys = [reads[0].request.key] * P
        for r in reads:
            p, prompt, how = r.slot // each, r.request.prompt, r.request.sampling
            # Padding must end inside the cache: better to read a few places again.
            start[p] = min(r.start, self._longest - bucket)
            tail = prompt[start[p] :]
            token[p, : len(tail)], real[p], slot[p] = tail, len(tail), r.slot % each
            limit[p], keys[p] = r.request.max_new, r.request.key
            temperature[p], top_k[p], top_p[p] = how.temperature, how.top_k, how.top_p
            self.prefilled += len(tail)
            self.reused += int(start[p])
            self._slots[r.slot] = _Slot(held=list(prompt), ticket=r.ticket)
        self._device = self._programs.prefill(
            self._policy,
            self._params,
            self._device,
            slot,
            token,
            real,
            start,
            (limit, tuple(keys), temperature, top_k, top_p),
        )

    def _best(self, free: set[int], ticket: int, request: Request) -> _Read:
        """The free slot that holds most of a prompt."""
        prompt = list(request.prompt)
        shared = {i: _shared(self._slots[i].held, prompt) for i in free}
        # Of equal ones the one that holds least, so that useful caches stay.
        i = max(sorted(free), key=lambda j: (shared[j], -len(self._slots[j].held)))
        # The last token is always read: its logits are needed.
        return _Read(i, ticket, request, min(shared[i], len(prompt) - 1))

    def _reach(self) -> int:
        """Places of the cache that the next decode looks at."""
        busy = [s for s in self._slots if s.ticket is not None]
        filled = (len(self._requests[s.ticket].prompt) + len(s.token) for s in busy)
        reach, needed = self._least, max(filled) + self._steps
        while reach < needed:
            reach *= 2
        return min(reach, self._longest)

    def _finish(self, slot: _Slot) -> str | None:
        request = self._requests[slot.ticket]
        if request.stop:
            text = self._text(slot.token)
            if any(end in text for end in request.stop):
                return "text"
        if slot.token[-1] in self._stop_ids:
            return "stop"
        return "length" if len(slot.token) >= request.max_new else None

    def _close(self, i: int, slot: _Slot, finish: str) -> Completion:
        request = self._requests.pop(slot.ticket)
        n = len(slot.token)
        if finish == "text":
            n = self._first_with(slot.token, request.stop)
            self._device = self._programs.silence(self._device, i)
            finish = "stop"
        # The last token was sampled, not read. New weights emptied `held`.
        held = slot.held + slot.token[: n - 1] if slot.held else []
        self._slots[i] = _Slot(held=held)
        return Completion(
            request=request,
            token=np.asarray(slot.token[:n], np.int32),
            log_prob=np.asarray(slot.log_prob[:n], np.float32),
            policy_version=np.asarray(slot.version[:n], np.int32),
            finish=finish,
        )

    def _first_with(self, token: list[int], ends: tuple[str, ...]) -> int:
        """Tokens up to the one that completes a stop text."""
        low, high = 1, len(token)
        while low < high:
            middle = (low + high) // 2
            text = self._text(token[:middle])
            if any(end in text for end in ends):
                high = middle
            else:
                low = middle + 1
        return low


def _shared(held: list[int], prompt: list[int]) -> int:
    """Length of the common beginning."""
    n = min(len(held), len(prompt))
    same = np.asarray(held[:n]) == np.asarray(prompt[:n])
    return n if same.all() else int(np.argmin(same))
