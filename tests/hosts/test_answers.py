"""Exact match and F1 by hand values."""

import pytest

from steppo_jax.hosts.hotpotqa import answers


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("The  Eiffel Tower!", "eiffel tower"),
        ("an apple, a day", "apple day"),
        ("U.S.A.", "usa"),
        ("well-known", "wellknown"),
        ("theatre", "theatre"),
        ("  ", ""),
        ("The", ""),
    ],
)
def test_normalisation(text, plain):
    assert answers.normalised(text) == plain


@pytest.mark.parametrize(
    ("said", "right", "match", "f1"),
    [
        ("The Eiffel Tower", ["eiffel tower"], 1, 1),
        ("Eiffel", ["Eiffel Tower"], 0, 2 / 3),
        ("tower tower eiffel", ["Eiffel Tower"], 0, 4 / 5),
        ("Paris", ["London", "paris."], 1, 1),
        ("no", ["no"], 1, 1),
        ("no way", ["no"], 0, 0),  # a yes or no agrees with itself only
        ("yes", ["yes it is"], 0, 0),
        ("", ["x"], 0, 0),
        ("x", [], 0, 0),
    ],
)
def test_match_and_f1(said, right, match, f1):
    assert answers.exact_match(said, right) == match
    assert answers.f1(said, right) == pytest.approx(f1)


def test_many_tags_take_no_time():
    answers.answer_of("<answer>" * 200_000)  # minutes, if read pair by pair


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so <answer> 4 </answer>", "4"),
        ("<answer>3</answer> no, <answer>4\n5</answer>", "4\n5"),
        ("just 4", "just 4"),
        ("<answer>open", "<answer>open"),
        ("shut</answer>", "shut</answer>"),
        ("<answer>1<answer>2</answer> 3", "2"),
    ],
)
def test_the_last_tag_counts(text, answer):
    assert answers.answer_of(text) == answer
