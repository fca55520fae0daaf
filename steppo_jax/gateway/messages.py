"""Messages in one form: for comparing histories, and for a model's template."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from steppo_jax.gateway.wire import Message


def text(message: Message) -> str:
    """The words of a message."""
    content = message.content
    if isinstance(content, list):
        return "".join(part.text for part in content)
    return content or ""


def _arguments(given: str) -> Any:
    """A call's arguments as a value where they are JSON, else as the text they are."""
    try:
        return json.loads(given)
    except (ValueError, RecursionError):
        return given


def plain(message: Message) -> dict[str, Any]:
    """What decides how a message reads: ids of calls and empty fields do not."""
    found: dict[str, Any] = {"role": message.role, "content": text(message)}
    if message.role == "developer":
        found["role"] = "system"
    if message.name:
        found["name"] = message.name
    if message.tool_calls:
        functions = [call.function for call in message.tool_calls]
        found["tool_calls"] = [
            {
                "type": "function",
                "function": {"name": f.name, "arguments": _arguments(f.arguments)},
            }
            for f in functions
        ]
    return found


def digests(messages: Sequence[dict[str, Any]], tools: Any) -> list[str]:
    """A digest of every beginning of a conversation: the first k messages, k = 1 … n.

    Tools stand at the head of a prompt, so they are part of all of them.
    """
    running = hashlib.sha256(_canonical(tools or None))
    found = []
    for message in messages:
        running.update(_canonical(message))
        found.append(running.hexdigest()[:32])
    return found


def _canonical(value: Any) -> bytes:
    # A length first: no two lists of messages read the same.
    said = json.dumps(value, sort_keys=True, ensure_ascii=True).encode()
    return len(said).to_bytes(8, "big") + said


def observation(messages: Sequence[dict[str, Any]]) -> str:
    """What was seen since the model last spoke."""
    news: list[str] = []
    for message in reversed(messages):
        if message["role"] == "assistant":
            break
        if message["role"] != "system":
            news.append(message["content"])
    return "\n".join(reversed(news))
