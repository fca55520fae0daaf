"""From what a policy says to one command, and back. What it says is data, never code.

Without tools the command is what stands after the last ";", on one line, so thoughts
are free. With tools it is the paper's call (method of StepPO, official code): JSON
{"name": "env_step", "arguments": {"command": "…"}}, in <tool_call> tags; the first call
counts. Tokenizers may drop the tags as control tokens, so bare JSON is a call too.
"""

from __future__ import annotations

from steppo_jax.hosts import said

TOOL = "env_step"
LONGEST = 500  # characters of a command
TOOLS = {TOOL: "command"}  # tool → the name of its argument

FORMAT = 'Say one command. You may think first: "<thoughts> ; <command>".'
TOOL_FORMAT = (
    "Think inside <think> </think>, then call the tool once:\n"
    '<tool_call>{"name": "env_step", "arguments": {"command": "COMMAND"}}</tool_call>'
)


def command(response: str, tools: bool) -> str | None:
    """The command in a response; None where there is none."""
    text = _called(response) if tools else response.rpartition(";")[2]
    if text is None:
        return None
    text = " ".join(text.split())
    return text if text and len(text) <= LONGEST else None


def response(text: str, tools: bool) -> str:
    """How a command is said."""
    if not tools:
        return text
    return said.say(TOOL, text, TOOLS, "hermes")


def _called(response: str) -> str | None:
    calls, _ = said.actions(response, TOOLS, "hermes")
    return calls[0][1] if calls else None
