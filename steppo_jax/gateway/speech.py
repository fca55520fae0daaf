"""From sampled ids to an answer of the chat-completions API, whole or in pieces."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.hosts import tool_calls


@dataclasses.dataclass(frozen=True)
class Spoken:
    """One response: what was sampled, and what it says."""

    token: list[int]
    log_prob: list[float]
    finish: str  # stop | length, as the engine says


@dataclasses.dataclass(frozen=True)
class Form:
    """How an answer is wanted."""

    tools: bool = False  # read tool calls in it
    stop: tuple[str, ...] = ()
    logprobs: bool = False


def said(chat: ChatTokenizer, token: Sequence[int], stop: Sequence[str]) -> str:
    """The words of ids, up to the first stop text."""
    text = chat.decode(token)
    places = [text.find(end) for end in stop]
    return text[: min((p for p in places if p >= 0), default=len(text))]


def message(chat: ChatTokenizer, call: str, spoken: Spoken, form: Form) -> dict:
    """The assistant's message. The same ids always give the same message."""
    text = said(chat, spoken.token, form.stop)
    found = {"role": "assistant", "content": text}
    if not form.tools:
        return found
    # Some tokenizers have the tags as control tokens, which `said` leaves out.
    parsed = tool_calls.parse(chat.decode(spoken.token, skip_control=False))
    if not parsed.calls:
        parsed = tool_calls.parse(text)
    if not parsed.calls:
        return found
    outside = tool_calls.parse(text).content
    if outside.startswith("{"):
        outside = ""  # a bare call is the call, not words beside it
    found["content"] = outside or None
    found["tool_calls"] = [
        {
            "id": f"{call.replace('chatcmpl', 'call')}-{n}",
            "type": "function",
            "function": {
                "name": one.name,
                "arguments": json.dumps(one.arguments, ensure_ascii=False),
            },
        }
        for n, one in enumerate(parsed.calls)
    ]
    return found


def finish(spoken: Spoken, answer: dict[str, Any]) -> str:
    """Why it ended."""
    return "tool_calls" if "tool_calls" in answer else spoken.finish


def logprobs(chat: ChatTokenizer, spoken: Spoken) -> dict[str, Any]:
    """The log-prob of every sampled token, under the distribution it is from."""
    content = []
    for token, log_prob in zip(spoken.token, spoken.log_prob, strict=True):
        text = chat.decode([token], skip_control=False)
        piece = {"token": text, "logprob": log_prob, "bytes": list(text.encode())}
        content.append(piece | {"top_logprobs": []})
    return {"content": content, "refusal": None}


def usage(prompt: int, spoken: Sequence[Spoken]) -> dict[str, int]:
    told = sum(len(one.token) for one in spoken)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": told,
        "total_tokens": prompt + told,
    }


def choice(
    chat: ChatTokenizer, call: str, n: int, spoken: Spoken, form: Form
) -> dict[str, Any]:
    answer = message(chat, call, spoken, form)
    return {
        "index": n,
        "message": answer,
        "logprobs": logprobs(chat, spoken) if form.logprobs else None,
        "finish_reason": finish(spoken, answer),
    }


def whole(
    call: str, created: int, model: str, choices: list[dict], used: dict[str, int]
) -> dict[str, Any]:
    """A chat.completion."""
    return {
        "id": call,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": choices,
        "usage": used,
    }


def chunk(call: str, created: int, model: str, choices: list[dict]) -> dict[str, Any]:
    """A chat.completion.chunk."""
    return {
        "id": call,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": choices,
    }


def piece(n: int, delta: dict[str, Any], why: str | None = None, log: Any = None):
    """A choice of a chunk."""
    return {"index": n, "delta": delta, "logprobs": log, "finish_reason": why}


class Unfolding:
    """The words of one response while it is being sampled.

    Held back: what may yet be changed by the next token (an unfinished character) or
    turn out to be the beginning of a stop text.
    """

    def __init__(self, chat: ChatTokenizer, stop: Sequence[str]):
        self._chat, self._stop = chat, stop
        self._told = 0
        self._held = max((len(end) - 1 for end in stop), default=0)

    def more(self, token: Sequence[int]) -> str:
        """What the ids so far say beyond what was told."""
        text = said(self._chat, token, self._stop)
        end = len(text.rstrip("�")) - self._held
        return self._tell(text, end)

    def rest(self, token: Sequence[int]) -> str:
        """What is left, now that these are all ids."""
        text = said(self._chat, token, self._stop)
        return self._tell(text, len(text))

    def _tell(self, text: str, end: int) -> str:
        new = text[self._told : max(end, self._told)]
        self._told += len(new)
        return new
