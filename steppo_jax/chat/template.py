"""Chat templates: the Jinja text that a model ships, run as `transformers` runs it."""

from __future__ import annotations

import datetime
import functools
import json
import typing
from collections.abc import Mapping, Sequence
from typing import Any

import jinja2
import jinja2.ext
import jinja2.sandbox

from steppo_jax.errors import Refused

Message = Mapping[str, Any]  # "role", "content", perhaps "tool_calls"


class ChatError(Refused):
    """A template, tokenizer or conversation that cannot be used."""


class _Generation(jinja2.ext.Extension):
    """{% generation %} … {% endgeneration %} marks the assistant's text in some
    templates; for the text itself it means nothing."""

    tags: typing.ClassVar = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> None:
    raise jinja2.exceptions.TemplateError(message)


def _tojson(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    # Jinja's own filter escapes <, > and &, which are text here.
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


@functools.cache
def _compiled(text: str) -> jinja2.Template:
    # The sandbox: a template comes with a checkpoint and is data, not code of ours.
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[jinja2.ext.loopcontrols, _Generation],
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _refuse
    environment.globals["strftime_now"] = lambda form: datetime.datetime.now().strftime(
        form
    )
    return environment.from_string(text)


def render(
    template: str,
    messages: Sequence[Message],
    special: Mapping[str, str],
    tools: Sequence[Mapping[str, Any]] | None = None,
    add_generation_prompt: bool = True,
    **options: Any,
) -> str:
    """The conversation as the model reads it.

    Args:
      special: texts of special tokens by their names (bos_token, eos_token, …).
      tools: JSON schemas of the functions that the model may call.
      add_generation_prompt: end with the header of the assistant's next turn.
      options: what the template knows besides (Qwen3's `enable_thinking`, …).

    Raises ChatError where the template refuses the conversation or has an error.
    """
    try:
        return _compiled(template).render(
            messages=messages,
            tools=tools,
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **special,
            **options,
        )
    except (jinja2.exceptions.TemplateError, TypeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ChatError(f"the chat template refuses the conversation: {text}") from None
