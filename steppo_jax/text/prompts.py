"""What the model reads at a step: the conversation under the context policy.

`rebuilt`: rules and the newest observation only. `last`: some earlier turns too, as
text. `append`: the ids of the whole past as they were fed and sampled, then the new
observation; nothing is tokenised a second time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from steppo_jax.chat.template import ChatError, Message
from steppo_jax.chat.tokenizer import ChatTokenizer

CUT = " … "  # stands where an observation was shortened


@dataclasses.dataclass(frozen=True)
class Prompter:
    """Builds the prompts of one environment for one model."""

    chat: ChatTokenizer
    instructions: str
    policy: str  # rebuilt | last | append
    turns: int | None  # earlier turns that `last` shows
    longest: int  # most tokens of a prompt

    def first(self, observation: str) -> list[int]:
        """The prompt of the first step."""
        return self._fitted([], observation)

    def next(
        self,
        observation: str,
        past: Sequence[tuple[str, str]],
        prompt: Sequence[int],
        response: Sequence[int],
    ) -> list[int]:
        """The prompt after a step.

        Args:
          past: (observation, response) of all earlier steps as text, oldest first.
          prompt, response: ids of the step before, as fed and as sampled.

        Raises ChatError where an append-only past leaves no room: it cannot be cut
        without breaking what makes it append-only.
        """
        if self.policy == "append":
            return self._extended(observation, prompt, response)
        shown = past[-self.turns :] if self.policy == "last" else ()
        return self._fitted(list(shown), observation)

    def _fitted(self, shown: list[tuple[str, str]], observation: str) -> list[int]:
        """The conversation, cut to `longest`: first the oldest turns go, then the
        middle of the observation; rules and the newest turn's ends stay."""
        while True:
            ids = self._conversation(shown, observation)
            if len(ids) <= self.longest:
                return ids
            if not shown:
                return self._shortened(observation)
            shown = shown[1:]

    def _shortened(self, observation: str) -> list[int]:
        """The longest beginning and end of the observation that fit."""
        low, high, best = 0, len(observation) // 2, None
        while low <= high:
            half = (low + high) // 2
            text = observation[:half] + CUT + observation[len(observation) - half :]
            ids = self._conversation([], text)
            if len(ids) <= self.longest:
                low, best = half + 1, ids
            else:
                high = half - 1
        if best is None:
            raise ChatError(
                f"the rules of the environment alone exceed lm.max_prompt="
                f"{self.longest} tokens; raise it"
            )
        return best

    def _conversation(
        self, shown: Sequence[tuple[str, str]], observation: str
    ) -> list[int]:
        messages: list[Message] = [{"role": "system", "content": self.instructions}]
        for seen, said in shown:
            messages.append({"role": "user", "content": seen})
            messages.append({"role": "assistant", "content": said})
        messages.append({"role": "user", "content": observation})
        return self.chat.conversation(messages)

    def _extended(
        self, observation: str, prompt: Sequence[int], response: Sequence[int]
    ) -> list[int]:
        """The past's ids, the end of the assistant's turn, and the observation."""
        ends = frozenset(self.chat.stop)
        whole = self._conversation([("-", "-")], observation)
        turns = [place for place, token in enumerate(whole) if token in ends]
        if len(turns) != 4:
            raise ChatError(
                "context.policy=append needs a template that ends every turn with a "
                "stop token; use rebuilt or last with this model"
            )
        more = whole[turns[-2] :]
        if response and response[-1] in ends:
            more = more[1:]
        ids = [*prompt, *response, *more]
        if len(ids) > self.longest:
            raise ChatError(
                f"an append-only prompt of {len(ids)} tokens exceeds lm.max_prompt="
                f"{self.longest}; raise it, or use context.policy=last"
            )
        return ids
