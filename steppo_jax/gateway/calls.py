"""One chat call from its body to its answer, and to its row where it is a step.

A call of a trajectory runs to its end whether or not its client still listens, and it
is on disk before anybody is told of it. Calls of one trajectory come one after the
other. A retry of the last call is answered from the record: it has its
`Idempotency-Key`, or is marked by the client as a retry and has the same body.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import math
import os
import secrets
import time
from collections.abc import Callable
from typing import Any

import jax

from steppo_jax import draws
from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.engine import EngineError, Request
from steppo_jax.gateway import messages, parameters, speech
from steppo_jax.gateway.book import Step, Trajectory
from steppo_jax.gateway.errors import ApiError, busy, unavailable
from steppo_jax.gateway.parameters import Wanted
from steppo_jax.gateway.pool import Pool
from steppo_jax.gateway.reading import Reading
from steppo_jax.gateway.serving import Answered, Serving, Stopped
from steppo_jax.gateway.speech import Spoken
from steppo_jax.gateway.wire import CloseBody

Hear = Callable[[list[int]], None]


@dataclasses.dataclass(frozen=True)
class Origin:
    """What a request says of itself beside its body."""

    body: bytes
    key: str | None  # Idempotency-Key
    retry: bool  # the client says that it repeats itself
    arrived: float  # perf_counter
    call: str = dataclasses.field(default_factory=lambda: _name())
    created: int = dataclasses.field(default_factory=lambda: int(time.time()))

    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest()[:32]


@dataclasses.dataclass(frozen=True)
class Reply:
    """An answer: ids and what is told beside them."""

    call: str
    created: int
    prompt: int  # tokens read
    spoken: list[Spoken]
    step: dict[str, Any] | None = None  # trajectory, step, kind


@jax.jit
def _draws(key: jax.Array, iteration, number, step) -> jax.Array:
    """The key of a step, as the in-process rollout has it."""
    of_rollout = draws.of_iteration(key, "rollout", iteration)
    return jax.random.fold_in(jax.random.fold_in(of_rollout, number), step)


class Calls:
    """Answers calls with a model.

    Args:
      key: base key of the run, from which steps are drawn.
      longest: most tokens of a prompt.
      temperature, max_new: of the run; the most tokens of an answer.
    """

    def __init__(
        self,
        chat: ChatTokenizer,
        serving: Serving,
        pool: Pool,
        key: jax.Array,
        *,
        longest: int,
        temperature: float,
        max_new: int,
    ):
        self.chat, self.serving, self.pool, self._key = chat, serving, pool, key
        self.reading = Reading(chat, longest)
        self.temperature, self.max_new = temperature, max_new
        _draws(key, 0, 0, 0)  # compiled before anybody waits for it
        self._turns: dict[str, asyncio.Lock] = {}
        self._running: set[asyncio.Task] = set()
        self.seconds = {"total": 0.0, "engine": 0.0, "calls": 0}

    # ---- inference -------------------------------------------------------------
    async def answer(self, wanted: Wanted, origin: Origin, hear: Hear | None) -> Reply:
        """Plain inference: nothing is kept."""
        if self.pool.iteration < 0:
            raise unavailable("the weights are not loaded yet", "starting", 2)
        wanted = parameters.of_inference(wanted)
        ids = await self.reading.whole(wanted.messages, wanted.tools)
        seed = int.from_bytes(os.urandom(8)) if wanted.seed is None else wanted.seed
        key = jax.random.key(seed % 2**63)
        asked = []
        for n in range(wanted.n):
            of_choice = jax.random.fold_in(key, n)
            asked.append(self._ask(ids, of_choice, wanted, hear if n == 0 else None))
        answered = [await self._spoken(one) for one in asked]
        spoken = [_spoken(one) for one in answered]
        self._count(origin, max(one.seconds for one in answered))
        return Reply(origin.call, origin.created, len(ids), spoken)

    # ---- steps -----------------------------------------------------------------
    async def step(
        self, name: str, wanted: Wanted, origin: Origin, hear: Hear | None
    ) -> Reply:
        """A step of a trajectory, or the recorded answer to the same call."""
        task = asyncio.create_task(self._step(name, wanted, origin, hear))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)

    async def _step(self, name, wanted, origin, hear) -> Reply:
        self.pool.find(name)  # no lock is made for what there is not
        async with self._turns.setdefault(name, asyncio.Lock()):
            one = self.pool.find(name)
            known = self._known(one, origin)
            if known is not None:
                return self._again(one, known)
            one = self.pool.find_open(name)
            self.pool.may_step(one)
            wanted = parameters.of_trajectory(
                wanted, self.temperature, one.own_sampling
            )
            one.busy += 1
            try:
                return await self._new_step(one, wanted, origin, hear)
            finally:
                one.busy -= 1
                one.touched = time.monotonic()

    async def _new_step(self, one: Trajectory, wanted, origin, hear) -> Reply:
        prompt = await self.reading.step(one, wanted.messages, wanted.tools)
        place = len(one.steps)
        key = _draws(self._key, one.iteration, one.number, place)
        answered = await self._spoken(self._ask(prompt.ids, key, wanted, hear))
        spoken, call, created = _spoken(answered), origin.call, origin.created
        if not all(map(math.isfinite, spoken.log_prob)):
            raise ApiError(500, "the model's log-probs are not finite", "not_finite")
        said = speech.message(self.chat, call, spoken, wanted.form)
        whole = [*wanted.messages, messages.plain(messages.Message(**said))]
        event = {
            "call": call,
            "created": created,
            "request": origin.digest(),
            "key": origin.key,
            "kind": prompt.kind,
            "after": prompt.after,
            "more": prompt.ids[prompt.kept :],
            "token": spoken.token,
            "log_prob": spoken.log_prob,
            "version": answered.completion.policy_version.tolist(),
            "finish": spoken.finish,
            "head": messages.digests(whole, wanted.tools)[-1],
            "messages": len(whole),
            "observation": messages.observation(wanted.messages),
            "response": self.chat.decode(spoken.token),
            "at": time.time(),
            "engine_seconds": answered.seconds,
            "seconds": time.perf_counter() - origin.arrived,
        }
        await asyncio.wrap_future(self.pool.step(one, event))
        self._count(origin, answered.seconds)
        return self._again(one, place)

    def _known(self, one: Trajectory, origin: Origin) -> int | None:
        """The step that has recorded this very call."""
        found = one.keys.get(origin.key) if origin.key else None
        if isinstance(found, int):
            if one.steps[found].request != origin.digest():
                text = "this Idempotency-Key was used for another call"
                raise ApiError(409, text, "key_used")
            return found
        last = one.steps[-1] if one.steps else None
        if origin.retry and last is not None and last.request == origin.digest():
            return len(one.steps) - 1
        return None

    def _again(self, one: Trajectory, place: int) -> Reply:
        """A recorded step as the answer it was."""
        step: Step = one.steps[place]
        told = {"id": one.id, "step": place, "kind": step.kind}
        spoken = Spoken(step.token, step.log_prob, step.finish)
        return Reply(step.call, step.created, len(step.prompt), [spoken], told)

    async def after(self, name: str, body: CloseBody) -> list[int] | None:
        """The prompt of the state that a limit cut off, where its value is wanted."""
        if not self.pool.terms.bootstrap or body.end != "truncated":
            if body.messages is not None:
                text = (
                    "messages of the next state are read at end=truncated, with "
                    "env.on_time_limit=bootstrap only; leave them out"
                )
                raise ApiError(400, text, "invalid_value", "messages")
            return None
        if body.messages is None:
            text = (
                "env.on_time_limit=bootstrap: give the messages that the model would "
                "have read next"
            )
            raise ApiError(400, text, "missing", "messages")
        said = [messages.plain(message) for message in body.messages]
        tools = body.tools and [t.model_dump(exclude_none=True) for t in body.tools]
        one = self.pool.find_open(name)
        return (await self.reading.step(one, said, tools or None)).ids

    def tidy(self) -> None:
        """Lets go of what belongs to trajectories that are over."""
        for name, lock in list(self._turns.items()):
            if name not in self.pool.book.trajectories and not lock.locked():
                del self._turns[name]

    # ---- what both need --------------------------------------------------------
    def _ask(self, ids: list[int], key, wanted: Wanted, hear: Hear | None):
        if self.serving.full:
            raise busy("too many calls are waiting for the model", "engine_full")
        request = Request(
            tuple(ids), key, wanted.max_new, wanted.sampling, wanted.form.stop
        )
        try:
            return self.serving.submit(request, hear)
        except Stopped as error:
            raise unavailable(str(error), "engine", 5) from None

    async def _spoken(self, asked) -> Answered:
        try:
            return await asyncio.wrap_future(asked)
        except EngineError as error:
            raise ApiError(400, str(error), "invalid_value") from None
        except Stopped as error:
            raise unavailable(str(error), "engine", 5) from None

    def _count(self, origin: Origin, engine: float) -> None:
        self.seconds["total"] += time.perf_counter() - origin.arrived
        self.seconds["engine"] += engine
        self.seconds["calls"] += 1


def _spoken(answered: Answered) -> Spoken:
    done = answered.completion
    # The shortest text that is the same float32: half the record's size.
    log_prob = [float(str(x)) for x in done.log_prob]
    return Spoken(done.token.tolist(), log_prob, done.finish)


def _name() -> str:
    return f"chatcmpl-{secrets.token_hex(12)}"
