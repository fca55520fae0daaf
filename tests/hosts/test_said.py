"""Actions in what was said, in both forms, and the way back."""

import pytest

from steppo_jax.hosts import drawing, said

TOOLS = {"search": "query", "expand": "paper_id"}


@pytest.mark.parametrize("form", said.FORMS)
@pytest.mark.parametrize("argument", ["a b", 'ü "quoted" [x] {y}', "a, b] c["])
def test_what_is_said_is_read_again(form, argument):
    response = "I think.\n" + said.say("expand", argument, TOOLS, form) + "\nSo."
    assert said.actions(response, TOOLS, form) == ([("expand", argument)], [])


def test_calls_keep_their_order_and_errors_are_told():
    text = (
        '<tool_call>{"name": "search", "arguments": {"query": " a "}}</tool_call>'
        '<tool_call>{"name": "open", "arguments": {}}</tool_call>'
        '<tool_call>{"name": "search", "arguments": {"query": 3}}</tool_call>'
        "<tool_call>{'name': 'search'}</tool_call>"
        '<tool_call>{"name": "expand", "arguments": {"paper_id": "b"}}</tool_call>'
    )
    done, wrong = said.actions(text, TOOLS, "hermes")
    assert done == [("search", "a"), ("expand", "b")]
    assert len(wrong) == 3 and any("no tool 'open'" in w for w in wrong)


def test_bracket_lines():
    text = "first search[x]\nsearch[a]\n  expand[b]  \nfly[c]\nSearch[d]"
    done, wrong = said.actions(text, TOOLS, "brackets")
    assert done == [("search", "a"), ("expand", "b")]
    assert wrong == ["there is no tool 'fly'"]


@pytest.mark.parametrize("form", said.FORMS)
def test_thoughts_are_no_actions(form):
    act = said.say("search", "b", TOOLS, form)
    thought = said.say("search", "a", TOOLS, form)
    text = f"<think>\n{thought}\n</think>\n{act}"
    assert said.actions(text, TOOLS, form)[0] == [("search", "b")]
    assert said.actions(f"<think>\n{act}", TOOLS, form)[0] == []


def test_tools_choose_the_form():
    assert [said.form_of(tools) for tools in (True, False)] == ["hermes", "brackets"]


def test_draws_never_move():
    assert drawing.number("a", 1) == 9484037261928657086
    assert drawing.shuffled("abcde", "x") == list("adbce")
    assert drawing.some(range(9), 3, "y") == [0, 5, 6]
    assert drawing.number("a", "b") != drawing.number("ab")
    assert 0 <= drawing.fraction("z") < 1


def test_a_call_without_tags_is_a_call():
    """Tokenizers may drop the tags as control tokens."""
    text = 'I look. {"name": "search", "arguments": {"query": "a {b}"}} So.'
    assert said.actions(text, TOOLS, "hermes") == ([("search", "a {b}")], [])
    for other in ('{"query": "a"}', "a {b} c", "{", '{"name": "search"}'):
        assert said.actions(other, TOOLS, "hermes") == ([], [])
