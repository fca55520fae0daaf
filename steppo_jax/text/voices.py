"""Who speaks in text episodes: the engine, or an environment's scripted expert."""

from __future__ import annotations

import dataclasses
from typing import Any, Protocol

import jax
import numpy as np

from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.engine import Completion, Engine, Request, Sampling
from steppo_jax.errors import Refused
from steppo_jax.hosts.base import Info


class NoExpert(Refused):
    """An environment that does not say what an expert would."""


@dataclasses.dataclass(frozen=True)
class Said:
    """One response: as ids, and as the text that the environment is given."""

    text: str
    token: np.ndarray  # [n] int32
    log_prob: np.ndarray  # [n] float32
    policy_version: np.ndarray  # [n] int32


class Voice(Protocol):
    """Answers prompts of episodes, known by the number of their job."""

    @property
    def busy(self) -> float:
        """Share of its slots that have something to say; 0 = all wait."""

    def ask(self, i: int, t: int, prompt: list[int], info: Info) -> None:
        """Wants the response of job i at step t."""

    def hear(self) -> list[tuple[int, Said]]:
        """Speaks on for a moment; the responses that were finished."""

    def forget(self, i: int) -> None:
        """Nobody wants to hear job i's response any more, if one is due."""

    def silence(self) -> None:
        """Nobody wants to hear any response."""


class EngineVoice:
    """The engine with the weights it has; step t of job i draws from key[i, t]."""

    def __init__(
        self,
        engine: Engine,
        chat: ChatTokenizer,
        key_NT: jax.Array,
        max_new: int,
        temperature: float,
    ):
        self._engine, self._chat, self._key_NT = engine, chat, key_NT
        self._max_new, self._sampling = max_new, Sampling(temperature=temperature)
        self._jobs: dict[int, int] = {}  # ticket → job

    @property
    def busy(self) -> float:
        return min(self._engine.waiting / self._engine.slots, 1.0)

    def ask(self, i: int, t: int, prompt: list[int], info: Info) -> None:
        del info  # the model reads the prompt only
        request = Request(
            prompt=tuple(prompt),
            key=self._key_NT[i, t],
            max_new=self._max_new,
            sampling=self._sampling,
        )
        self._jobs[self._engine.submit(request)] = i

    def hear(self) -> list[tuple[int, Said]]:
        found = self._engine.step()
        return [
            (self._jobs.pop(ticket), self._said(completion))
            for ticket, completion in found
            if ticket in self._jobs
        ]

    def forget(self, i: int) -> None:
        # The engine speaks it to its end, and nobody listens.
        self._jobs = {t: j for t, j in self._jobs.items() if j != i}

    def silence(self) -> None:
        self._jobs.clear()

    def _said(self, completion: Completion) -> Said:
        return Said(
            self._chat.decode(completion.token),
            completion.token,
            completion.log_prob,
            completion.policy_version,
        )


class ExpertVoice:
    """What info["expert"] says, as the model's ids; log-probs are unknown (0).

    Every response ends with the model's first stop token.
    """

    def __init__(self, chat: ChatTokenizer):
        self._chat = chat
        self._due: dict[int, Said] = {}

    @property
    def busy(self) -> float:
        return float(bool(self._due))

    def ask(self, i: int, t: int, prompt: list[int], info: dict[str, Any]) -> None:
        words = info.get("expert")
        if not isinstance(words, str):
            raise NoExpert(
                f"the environment has no expert's words at step {t}; set "
                "--config.warm_start.success=0"
            )
        token = [*self._chat.encode(words), self._chat.stop[0]]
        n = len(token)
        self._due[i] = Said(
            words,
            np.asarray(token, np.int32),
            np.zeros(n, np.float32),
            np.zeros(n, np.int32),
        )

    def hear(self) -> list[tuple[int, Said]]:
        due, self._due = self._due, {}
        return list(due.items())

    def forget(self, i: int) -> None:
        self._due.pop(i, None)

    def silence(self) -> None:
        self._due.clear()
