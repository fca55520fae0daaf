"""A reply of `Calls` as the object that the API's clients read."""

from __future__ import annotations

from typing import Any

from steppo_jax.chat.tokenizer import ChatTokenizer
from steppo_jax.gateway import speech
from steppo_jax.gateway.calls import Reply
from steppo_jax.gateway.parameters import Wanted
from steppo_jax.gateway.wire import MODEL


def whole(chat: ChatTokenizer, reply: Reply, wanted: Wanted) -> dict[str, Any]:
    """The chat.completion of a reply; a step says whose it is."""
    choices = [
        speech.choice(chat, reply.call, n, one, wanted.form)
        for n, one in enumerate(reply.spoken)
    ]
    used = speech.usage(reply.prompt, reply.spoken)
    found = speech.whole(reply.call, reply.created, MODEL, choices, used)
    return found | ({"trajectory": reply.step} if reply.step else {})
