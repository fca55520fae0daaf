"""Tool calls in a model's text, in the form Hermes and Qwen models are trained on:

<tool_call>
{"name": "search", "arguments": {"query": "…"}}
</tool_call>

Some tokenizers drop the tags as control tokens, so where there is no tag the first bare
object of this form is a call too.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

BLOCK = re.compile(r"<tool_call>(.*?)(?:</tool_call>|$)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class ToolCall:
    name: str
    arguments: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Parsed:
    """What a model said: text outside of calls, its calls, and what was wrong."""

    content: str
    calls: tuple[ToolCall, ...]
    errors: tuple[str, ...]


def parse(text: str) -> Parsed:
    """Reads the calls of a response; a broken one becomes an error text, no raise.

    Model output is data: it is read as JSON only, never evaluated.
    """
    calls, errors = [], []
    for block in BLOCK.findall(text) or _bare(text):
        try:
            calls.append(_call(json.loads(block)))
        except RecursionError:
            errors.append("tool call: nested too deeply")
        except ValueError as error:
            errors.append(f"tool call: {error}")
    return Parsed(BLOCK.sub("", text).strip(), tuple(calls), tuple(errors))


def _bare(text: str) -> list[str]:
    """The first object in a text, if it has a name and arguments."""
    start = text.find("{")
    try:
        value, end = json.JSONDecoder().raw_decode(text, max(start, 0))
    except (ValueError, RecursionError):
        return []
    is_call = isinstance(value, dict) and {"name", "arguments"} <= set(value)
    return [text[start:end]] if is_call else []


def _call(value: Any) -> ToolCall:
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise ValueError('needs an object with a "name"')
    arguments = value.get("arguments", {})
    if isinstance(arguments, str):  # some models quote the object once more
        arguments = json.loads(arguments)
    if not isinstance(arguments, dict):
        raise ValueError('"arguments" must be an object')
    return ToolCall(value["name"], arguments)
