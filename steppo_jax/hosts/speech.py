"""From what a policy says to one command, and back. What it says is data, never code.

Without tools the command is what stands after the last ";", on one line, so thoughts
are free. With tools it is the paper's call (method of StepPO, official code): JSON
{"name": "env_step", "arguments": {"command": "…"}}, in <tool_call> tags; the first call
counts. Tokenizers may drop the tags as control tokens, so bare JSON is a call too.
"""

from __future__ import annotations

import json
import re

TOOL = "env_step"
LONGEST = 500  # characters of a command
CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)
THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)

FORMAT = 'Say one command. You may think first: "<thoughts> ; <command>".'
TOOL_FORMAT = (
    "Think inside <think> </think>, then call the tool once:\n"
    '<tool_call>{"name": "env_step", "arguments": {"command": "COMMAND"}}</tool_call>'
)


def command(said: str, tools: bool) -> str | None:
    """The command in a response; None where there is none."""
    text = _called(said) if tools else said.rpartition(";")[2]
    if text is None:
        return None
    text = " ".join(text.split())
    return text if text and len(text) <= LONGEST else None


def response(text: str, tools: bool) -> str:
    """How a command is said."""
    if not tools:
        return text
    call = json.dumps({"name": TOOL, "arguments": {"command": text}})
    return f"<tool_call>{call}</tool_call>"


def _called(said: str) -> str | None:
    said = THOUGHT.sub("", said)
    tagged = CALL.search(said)
    text = tagged[1] if tagged else said[max(said.find("{"), 0) :]
    try:
        call, _ = json.JSONDecoder().raw_decode(text.strip())
    except (ValueError, RecursionError):
        return None
    if not isinstance(call, dict) or call.get("name") != TOOL:
        return None
    arguments = call.get("arguments")
    found = arguments.get("command") if isinstance(arguments, dict) else None
    return found if isinstance(found, str) else None
