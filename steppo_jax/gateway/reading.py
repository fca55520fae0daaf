"""What a call's model reads: the ids of its messages, never too many.

In a trajectory a call that goes on with an earlier answer keeps that step's ids.
"""

from __future__ import annotations

import asyncio
from typing import Any

from steppo_jax.chat.template import ChatError
from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.gateway import messages, prompts
from steppo_jax.gateway.book import Trajectory
from steppo_jax.gateway.errors import ApiError
from steppo_jax.gateway.prompts import Past, Prompt

LARGE = 20_000  # characters from which on a prompt is tokenised in another thread


class Reading:
    """Messages to ids by a model's own template.

    Args:
      longest: most tokens of a prompt; more are an ApiError 400.
    """

    def __init__(self, chat: ChatTokenizer, longest: int):
        self._chat, self._longest = chat, longest

    async def whole(self, said: list[dict[str, Any]], tools: Any) -> list[int]:
        """The ids of a conversation that belongs to nothing."""
        ids = await self._run(said, prompts.whole, tools)
        self._check_length(ids)
        return ids

    async def step(
        self, one: Trajectory, said: list[dict[str, Any]], tools: Any
    ) -> Prompt:
        """What a trajectory's next call reads."""
        found = await self._extended(one, said, tools)
        if found is None:
            ids = await self._run(said, prompts.whole, tools)
            kind = prompts.REBUILT if one.steps else prompts.FIRST
            found = Prompt(ids, kind, None, 0)
        self._check_length(found.ids)
        return found

    async def _extended(
        self, one: Trajectory, said: list[dict[str, Any]], tools: Any
    ) -> Prompt | None:
        """The ids of the last step that the messages begin with, and what is new."""
        heads = {step.head: n for n, step in enumerate(one.steps)}
        for digest in reversed(messages.digests(said, tools)[:-1]):
            if digest in heads:
                n = heads[digest]
                step = one.steps[n]
                past = Past(n, step.prompt, step.token, step.messages)
                return await self._run(said, prompts.extended, tools, past)
        return None

    async def _run(self, said: list[dict[str, Any]], make, *arguments):
        size = sum(len(message["content"]) for message in said)
        try:
            if size < LARGE:
                return make(self._chat, said, *arguments)
            return await asyncio.to_thread(make, self._chat, said, *arguments)
        except ChatError as error:
            raise ApiError(400, str(error), "invalid_messages", "messages") from None

    def _check_length(self, ids: list[int]) -> None:
        if len(ids) > self._longest:
            text = (
                f"the prompt has {len(ids)} tokens, lm.max_prompt={self._longest} is "
                "the most; shorten the messages"
            )
            raise ApiError(400, text, "context_length_exceeded", "messages")
