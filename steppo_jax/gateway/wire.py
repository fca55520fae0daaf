"""The bodies of requests: what may be said, in which form, within which limits.

The rule for parameters of a call: one that would change the answer and cannot be
served is refused, one that cannot change it is read and without effect, and a name
that is not known is refused. null means not given, and no text stands for a number or a
truth value.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pydantic
from pydantic import AfterValidator, Field

MODEL = "policy"  # the name of what is being trained
SHORT, LONG = 200, 1_000_000  # most characters of a name, of a text
KEY = f"^[!-~]{{1,{SHORT}}}$"  # of Idempotency-Key
Name = Annotated[str, Field(min_length=1, max_length=SHORT)]
Text = Annotated[str, Field(max_length=LONG)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e30, le=1e30)]
Off = Annotated[float, Field(ge=0, le=0)]  # only where it does nothing


def _no(value: bool) -> bool:
    if value:
        raise ValueError("only false is served")
    return value


# Not Literal[False], which 0 is too.
No = Annotated[bool, AfterValidator(_no), Field(json_schema_extra={"const": False})]


class Body(pydantic.BaseModel):
    """Unknown names are refused, so that nothing is silently without effect."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True)


class Loose(pydantic.BaseModel):
    """Parts that clients copy from answers with whatever else stood there."""

    model_config = pydantic.ConfigDict(extra="ignore", strict=True)


class Part(Loose):
    """A piece of a message; only text is understood."""

    type: Literal["text", "input_text", "output_text"]
    text: Text


class Function(Loose):
    name: Name
    arguments: Text = "{}"


class Call(Loose):
    """A tool call of an earlier answer."""

    id: Text | None = None
    type: Literal["function"] = "function"
    function: Function


class Message(Loose):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Text | list[Part] | None = None
    name: Name | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: Text | None = None


class Tool(pydantic.BaseModel):
    """A function that the model may call; its schema is shown to it as it is."""

    model_config = pydantic.ConfigDict(extra="allow", strict=True)
    type: Literal["function"]
    function: dict[str, Any]


class StreamOptions(Body):
    include_usage: bool | None = None
    include_obfuscation: No | None = None


class ResponseFormat(Body):
    type: Literal["text"]  # nothing else is enforced here


class ChatBody(Body):
    """POST /v1/chat/completions."""

    # Another name is a 404 of its own; the description says the one that there is.
    model: Annotated[Name, Field(json_schema_extra={"enum": [MODEL]})]
    messages: Annotated[list[Message], Field(min_length=1, max_length=10_000)]
    # What changes the answer.
    tools: Annotated[list[Tool], Field(max_length=1000)] | None = None
    tool_choice: Literal["auto", "none", "required"] | None = None
    stop: (
        Annotated[str, Field(min_length=1, max_length=SHORT)]
        | Annotated[list[Name], Field(max_length=16)]
        | None
    ) = None
    temperature: Annotated[float, Field(ge=0, le=100)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**20)] | None = None
    max_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=2**31 - 1)] | None = None
    n: Annotated[int, Field(ge=1, le=16)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), le=2**63 - 1)] | None = None
    logprobs: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    trajectory: Name | None = None  # ours: whose step this is
    # Only where they do nothing.
    frequency_penalty: Off | None = None
    presence_penalty: Off | None = None
    logit_bias: Annotated[dict[str, Any], Field(max_length=0)] | None = None
    top_logprobs: Off | None = None
    response_format: ResponseFormat | None = None
    # Cannot change the answer.
    user: Text | None = None
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: Text | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: Text | None = None
    safety_identifier: Text | None = None


class OpenBody(Body):
    """POST /v1/trajectories."""

    task: Annotated[str, Field(max_length=10_000)]  # for people: what is to be done
    group: Name  # trajectories of one task that are compared with each other
    number: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    own_sampling: bool = True  # a call's temperature must be the run's; else ignored


class RewardBody(Body):
    """POST /v1/trajectories/ID/reward."""

    reward: Number
    step: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None  # None: the last


class CloseBody(Body):
    """POST /v1/trajectories/ID/close."""

    end: Literal["terminated", "truncated"]
    reward: Number | None = None  # of the last step
    outcome: Annotated[dict[Name, Number], Field(max_length=50)] | None = None
    # Truncated: what would have been read next, for the value of that state.
    messages: (
        Annotated[list[Message], Field(min_length=1, max_length=10_000)] | None
    ) = None
    tools: Annotated[list[Tool], Field(max_length=1000)] | None = None


class AbandonBody(Body):
    """POST /v1/trajectories/ID/abandon."""

    cause: Annotated[str, Field(max_length=SHORT)] = "abandoned by its harness"
