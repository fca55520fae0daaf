"""The ids that a call's model reads: its conversation anew, or its past gone on with.

Where a conversation extends one that was answered before, the ids of that prompt and
the ids that were sampled stay as they are, and only what is new is tokenised. Else the
conversation is rendered whole.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from steppo_jax.chat.template import ChatError
from steppo_jax.chat.tokenizer import ChatTokenizer

FIRST, APPENDED, REBUILT = "first", "appended", "rebuilt"


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What is read, and how it came about."""

    ids: list[int]
    kind: str  # first | appended | rebuilt
    after: int | None  # the step whose ids it goes on with
    kept: int  # ids that are that step's own, prompt and response


@dataclasses.dataclass(frozen=True)
class Past:
    """An answered prompt that a conversation may extend."""

    step: int
    prompt: Sequence[int]
    response: Sequence[int]
    messages: int  # how many messages it is, the answer included


def whole(chat: ChatTokenizer, messages: Sequence[dict[str, Any]], tools: Any) -> list:
    """The ids of a conversation, rendered anew. Raises ChatError."""
    return chat.conversation(messages, tools=tools)


def extended(
    chat: ChatTokenizer, messages: Sequence[dict[str, Any]], tools: Any, past: Past
) -> Prompt | None:
    """The past's ids and what is new, or None where the template cannot be cut there.

    The end of the answer is found as the stop token that ends its turn: as many as the
    past has when it is rendered. The rendering of the past itself is not used, so what
    a template changes in earlier turns (thoughts it leaves out, say) changes nothing.
    """
    ends = frozenset(chat.stop)
    try:
        before = chat.conversation(
            messages[: past.messages], tools=tools, add_generation_prompt=False
        )
    except ChatError:
        return None  # a template that knows no finished conversation
    stops = [place for place, token in enumerate(before) if token in ends]
    ids = whole(chat, messages, tools)
    places = [place for place, token in enumerate(ids) if token in ends]
    if not stops or len(places) < len(stops):
        return None
    if chat.decode(before[stops[-1] + 1 :], skip_control=False).strip():
        return None  # the answer's turn has no end of its own
    more = ids[places[len(stops) - 1] :]
    if past.response and past.response[-1] in ends:
        more = more[1:]
    kept = [*past.prompt, *past.response]
    return Prompt([*kept, *more], APPENDED, past.step, len(kept))
