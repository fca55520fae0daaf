"""A model's own tokenizer, and conversations as token ids.

Text of users, tools and environments is data: a control token that it spells out
is encoded letter by letter and never becomes the token.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import tokenizers

from steppo_jax.chat import template as templates
from steppo_jax.chat.template import ChatError, Message

# Names of special tokens that templates may use.
SPECIAL_NAMES = ("bos_token", "eos_token", "pad_token", "unk_token")


@dataclasses.dataclass(frozen=True)
class ChatTokenizer:
    """Tokenizer, template and special tokens of one model."""

    tokenizer: tokenizers.Tokenizer
    template: str | None
    special: Mapping[str, str]  # name → text, as in tokenizer_config.json
    stop: tuple[int, ...]  # ids that end a turn

    @functools.cached_property
    def control(self) -> dict[str, int]:
        """Texts of all control tokens and their ids."""
        added = self.tokenizer.get_added_tokens_decoder()
        return {token.content: i for i, token in added.items() if token.special}

    @functools.cached_property
    def _any_control(self) -> re.Pattern[str]:
        longest_first = sorted(self.control, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def encode(self, text: str) -> list[int]:
        """Ids of text from outside: control tokens in it stay text."""
        tokenizer = self._without_control
        return tokenizer.encode(text, add_special_tokens=False).ids

    def decode(self, ids: Sequence[int], skip_control: bool = True) -> str:
        return self.tokenizer.decode(list(ids), skip_special_tokens=skip_control)

    def text(self, messages: Sequence[Message], **options: Any) -> str:
        """The rendered conversation; options as `template.render`."""
        if self.template is None:
            raise ChatError(
                "this model has no chat template; use an instruct checkpoint"
            )
        return templates.render(self.template, messages, self.special, **options)

    def conversation(self, messages: Sequence[Message], **options: Any) -> list[int]:
        """Ids of the rendered conversation.

        Equal to encoding `text` as long as no message spells a control token;
        where one does, only the template's own control tokens become ids.
        """
        tools = options.get("tools")
        outside = json.dumps([messages, tools], ensure_ascii=False, default=str)
        if not self._any_control.search(outside):
            rendered = self.text(messages, **options)
            return self.tokenizer.encode(rendered, add_special_tokens=False).ids
        # Stand-ins: characters that Unicode keeps out of all text, and that occur
        # in no message. They pass through the template and come back as text.
        free = (chr(c) for c in range(0xFDD0, 0xFDF0) if chr(c) not in outside)
        try:
            opening, closing = next(free), next(free)
        except StopIteration:
            raise ChatError("a message is full of Unicode noncharacters") from None
        texts = list(self.control)

        def hide(value: Any) -> Any:
            if isinstance(value, str):
                return self._any_control.sub(
                    lambda m: f"{opening}{texts.index(m[0])}{closing}", value
                )
            if isinstance(value, Mapping):
                return {hide(k): hide(v) for k, v in value.items()}
            if isinstance(value, list | tuple):
                return [hide(v) for v in value]
            return value

        hidden = {"tools": hide(tools)} if tools is not None else {}
        rendered = self.text(hide(list(messages)), **(options | hidden))
        ids: list[int] = []
        place = 0
        marked = re.compile(f"{opening}([0-9]+){closing}")
        for found in self._any_control.finditer(rendered):
            ids += self._plain(rendered[place : found.start()], marked, texts)
            ids.append(self.control[found[0]])
            place = found.end()
        return ids + self._plain(rendered[place:], marked, texts)

    def _plain(self, text: str, marked: re.Pattern[str], texts: list[str]) -> list[int]:
        return self.encode(marked.sub(lambda m: texts[int(m[1])], text))

    @functools.cached_property
    def _without_control(self) -> tokenizers.Tokenizer:
        copy = tokenizers.Tokenizer.from_str(self.tokenizer.to_str())
        copy.encode_special_tokens = True
        return copy


def load(folder: pathlib.Path) -> ChatTokenizer:
    """The tokenizer of a HuggingFace checkpoint folder. Raises ChatError."""
    try:
        return _load(folder)
    except ChatError:
        raise
    except FileNotFoundError as error:
        raise ChatError(
            f"{error.filename} does not exist; give a folder with tokenizer.json "
            "and tokenizer_config.json"
        ) from None
    except Exception as error:  # tokenizers raises plain Exception on a bad file
        text = " ".join(str(error).split())
        raise ChatError(f"{folder}: not a readable tokenizer: {text}") from None


def _load(folder: pathlib.Path) -> ChatTokenizer:
    path = folder / "tokenizer.json"
    tokenizer = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
    settings = json.loads(
        (folder / "tokenizer_config.json").read_text(encoding="utf-8")
    )
    special = {}
    for name in SPECIAL_NAMES:
        value = settings.get(name)
        if isinstance(value, Mapping):
            value = value.get("content")
        if isinstance(value, str):
            special[name] = value
    text = settings.get("chat_template")
    beside = folder / "chat_template.jinja"
    if beside.exists():
        text = beside.read_text(encoding="utf-8")
    if isinstance(text, list):  # several, by name
        named = {t["name"]: t["template"] for t in text}
        text = named.get("default")
    if not isinstance(text, str | None):
        raise ChatError(f"{folder}: chat_template is no text; restore the file")
    return ChatTokenizer(tokenizer, text, special, _stop(folder, tokenizer, special))


def _stop(folder, tokenizer, special: Mapping[str, str]) -> tuple[int, ...]:
    """Ids that end a turn: generation_config.json's, else the eos token's."""
    path = folder / "generation_config.json"
    ids: Any = None
    if path.exists():
        ids = json.loads(path.read_text(encoding="utf-8")).get("eos_token_id")
    if ids is None:
        ids = tokenizer.token_to_id(special.get("eos_token", ""))
    if ids is None:
        raise ChatError(
            f"{folder}: no eos token; name it in tokenizer_config.json (eos_token)"
        )
    ids = tuple(ids) if isinstance(ids, list) else (ids,)
    if not all(type(i) is int and i >= 0 for i in ids):
        raise ChatError(f"{folder}: eos_token_id {ids} are no token ids")
    return ids
