"""An answer as server-sent events, while it is being sampled.

The engine never waits for a reader, and nothing piles up before a slow one: only the
newest ids are kept until it takes more, and they say all that came before them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.gateway import answers, speech
from steppo_jax.gateway.calls import Hear, Origin, Reply
from steppo_jax.gateway.errors import ApiError
from steppo_jax.gateway.parameters import Wanted
from steppo_jax.gateway.speech import Unfolding
from steppo_jax.gateway.wire import MODEL

Answer = Callable[[Wanted, Origin, Hear | None], Awaitable[Reply]]


class Newest:
    """The newest ids that were put, for one reader; older ones are let go."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._token: list[int] | None = None
        self._over = False

    def put(self, token: list[int]) -> None:
        """From any thread."""
        self._loop.call_soon_threadsafe(self._set, token)

    def end(self) -> None:
        """No more will come. From the loop's thread."""
        self._over = True
        self._came.set()

    async def get(self) -> list[int] | None:
        """What came since the last time, waiting for it; None once it is over."""
        await self._came.wait()
        if self._over:
            return None
        self._came.clear()
        return self._token

    def _set(self, token: list[int]) -> None:
        self._token = token
        self._came.set()


async def begin(
    chat: ChatTokenizer, answer: Answer, wanted: Wanted, origin: Origin
) -> AsyncIterator[str]:
    """The events of an answer. Raises ApiError for what is refused at once."""
    newest = Newest()
    # Calls and log-probs are known at the end only; then all comes in one piece.
    alone = wanted.n == 1 and not wanted.form.tools and not wanted.form.logprobs
    task = asyncio.ensure_future(answer(wanted, origin, newest.put if alone else None))
    task.add_done_callback(lambda _: newest.end())
    first = await newest.get()
    if first is None and task.exception() is not None:
        raise task.exception()
    return _events(chat, task, first, newest, wanted, origin)


async def _events(
    chat: ChatTokenizer,
    task: asyncio.Future[Reply],
    first: list[int] | None,
    newest: Newest,
    wanted: Wanted,
    origin: Origin,
) -> AsyncIterator[str]:
    unfolding = Unfolding(chat, wanted.form.stop)
    call, created, role = origin.call, origin.created, {"role": "assistant"}
    while first is not None:
        text = unfolding.more(first)
        if text:
            delta = {**role, "content": text}
            role = {}
            yield _event(speech.chunk(call, created, MODEL, [speech.piece(0, delta)]))
        first = await newest.get()
    if task.exception() is not None:
        error = task.exception()
        if not isinstance(error, ApiError):
            error = ApiError(500, "the gateway failed", "internal")
        yield _event(error.body())
        return
    reply = task.result()
    call, created = reply.call, reply.created  # a recorded answer has its own
    whole = answers.whole(chat, reply, wanted)
    for n, one in enumerate(whole["choices"]):
        delta = {**role, **one["message"]} if n or role else {}
        if n == 0 and not role:
            delta = {"content": unfolding.rest(reply.spoken[0].token)}
        for place, made in enumerate(delta.get("tool_calls", ())):
            made["index"] = place
        said = [speech.piece(n, delta, None, one["logprobs"])]
        yield _event(speech.chunk(call, created, MODEL, said))
        said = [speech.piece(n, {}, one["finish_reason"])]
        last = speech.chunk(call, created, MODEL, said)
        if "trajectory" in whole:
            last["trajectory"] = whole["trajectory"]
        yield _event(last)
    if wanted.tell_usage:
        used = {"usage": whole["usage"]}
        yield _event(speech.chunk(call, created, MODEL, []) | used)
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value)}\n\n"
