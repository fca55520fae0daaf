"""Makes TextWorld's PDDL engine fast without changing a word that it says.

The engine parses the same grammar rules and queries again for every admissible command
of every step, and translates a problem of PDDL four times for an episode. What was
parsed or translated once is remembered here. `install` exchanges functions of TextWorld
1.7 in this process; the output is compared with the engine as shipped in
tests/hosts/test_alfworld.py.
"""

from __future__ import annotations

import copy
import functools
import re
from typing import Any

REMEMBERED = 8  # translated problems; one is some 10 MB
NAME = re.compile(r"(\w+)\.(\w+)")


def install() -> None:
    """Exchanges the slow functions, once for all games of this process."""
    for owner, name, new in replacements():
        setattr(owner, name, new)


@functools.cache
def originals() -> tuple[tuple[Any, str, Any], ...]:
    """What stood in the place of every exchanged function."""
    import fast_downward
    from textworld.envs.pddl import textgen
    from textworld.logic import Rule

    grammar = textgen.ContextSensitiveGrammar
    return (
        (textgen, "_parse_and_convert", textgen._parse_and_convert),
        (textgen, "copy_context", textgen.copy_context),
        (grammar, "derive", grammar.derive),
        (
            Rule,
            "parse_conjunctive_query",
            staticmethod(Rule.parse_conjunctive_query),
        ),
        (fast_downward, "pddl2sas", fast_downward.pddl2sas),
    )


@functools.cache
def replacements() -> tuple[tuple[Any, str, Any], ...]:
    """(owner, name, what to put there) of every exchanged function."""
    originals()  # remembered before any is exchanged
    import fast_downward
    from textworld.envs.pddl import textgen
    from textworld.logic import Rule

    grammar = textgen.ContextSensitiveGrammar
    parse, derive = textgen._parse_and_convert, grammar.derive
    query = Rule.parse_conjunctive_query

    @functools.cache
    def parsed(text: str, rule_name: str) -> tuple:
        return tuple(parse(text, rule_name=rule_name))

    def parse_again(text: str, rule_name: str, **options: Any) -> list:
        del options  # of tracing
        # Symbols are given a context later: everybody gets symbols of their own.
        return [copy.copy(symbol) for symbol in parsed(text, rule_name)]

    def copy_context(context: dict) -> dict:
        # What is inside is read only, here and in TextWorld.
        fresh = {name: dict(context[name]) for name in ("variables", "mapping")}
        return {**context, **fresh}

    def derive_plain(self, start: str, context: dict | None = None) -> str:
        """Terminals and {entity.name} need no stack of symbols; the rest is as was."""
        words = []
        for symbol in parsed(start, "symbols") if context else (None,):
            word = _plain(textgen, symbol, context)
            if word is None:
                return derive(self, start, {} if context is None else context)
            words.append(word)
        return "".join(words)

    translate = fast_downward.pddl2sas

    @functools.lru_cache(REMEMBERED)
    def translated(domain: str, problem: str) -> tuple:
        return translate(domain, problem)

    def translate_once(domain: str, problem: str, **options: Any) -> tuple:
        # The optimised translation is the planner's, whom nobody asks here.
        del options
        return translated(domain, problem)

    return (
        (textgen, "_parse_and_convert", parse_again),
        (textgen, "copy_context", copy_context),
        (grammar, "derive", derive_plain),
        (Rule, "parse_conjunctive_query", staticmethod(functools.cache(query))),
        (fast_downward, "pddl2sas", translate_once),
    )


def _plain(textgen: Any, symbol: Any, context: dict) -> str | None:
    """What a symbol says, where that is a plain word or a field of a variable."""
    if isinstance(symbol, textgen.TerminalSymbol):
        return str(symbol.symbol)
    if isinstance(symbol, textgen.EvalSymbol):
        found = NAME.fullmatch(symbol.expression.strip())
        if found and found[1] in context["variables"]:
            return str(getattr(context["variables"][found[1]], found[2]))
    return None
