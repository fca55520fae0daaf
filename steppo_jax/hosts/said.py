"""What a policy did by what it said: the two forms in which families read actions.

`hermes`: calls as Hermes and Qwen models make them (`tool_calls`), the paper's form.
`brackets`: lines like `search[red lamp]`, the form of ReAct (arXiv 2210.03629), a few
tokens each, for small models. A response's reasoning, `<think>…</think>`, is no action.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from steppo_jax.hosts import tool_calls

FORMS = ("hermes", "brackets")
MOST_CHARACTERS = 100_000  # of a response; what is longer is cut before it is read
_THOUGHT = re.compile(r"<think>.*?(?:</think>|$)", re.DOTALL)
_LINE = re.compile(r"^[ \t]*([a-z_]+)\[(.*)\][ \t]*$", re.MULTILINE)


def form_of(tools: bool) -> str:
    """The form that `env.tools` asks for."""
    return FORMS[0 if tools else 1]


def without_thoughts(response: str) -> str:
    """The response without its reasoning, cut to MOST_CHARACTERS."""
    return _THOUGHT.sub("", response[:MOST_CHARACTERS])


def actions(
    response: str, tools: Mapping[str, str], form: str
) -> tuple[list[tuple[str, str]], list[str]]:
    """([(tool, argument)] in order, what was wrong with the other calls).

    Args:
      tools: the name of the one argument, a text, of every tool.
    """
    text = without_thoughts(response)
    if form == "brackets":
        found = [(m[1], m[2].strip()) for m in _LINE.finditer(text)]
        wrong = [f"there is no tool {name!r}" for name, _ in found if name not in tools]
        return [(name, said) for name, said in found if name in tools], wrong
    parsed = tool_calls.parse(text)
    done, wrong = [], list(parsed.errors)
    for call in parsed.calls:
        if call.name not in tools:
            wrong.append(f"there is no tool {call.name!r}")
        elif not isinstance(call.arguments.get(tools[call.name]), str):
            wrong.append(f"{call.name} needs a text as {tools[call.name]!r}")
        else:
            done.append((call.name, call.arguments[tools[call.name]].strip()))
    return done, wrong


def say(tool: str, argument: str, tools: Mapping[str, str], form: str) -> str:
    """The way back: a response that makes this one call."""
    if form == "brackets":
        return f"{tool}[{argument}]"
    call = {"name": tool, "arguments": {tools[tool]: argument}}
    return f"<tool_call>\n{json.dumps(call, ensure_ascii=False)}\n</tool_call>"
