"""Any value of any field is accepted, and then builds, or is refused by ConfigError."""

import copy

from hypothesis import example, given
from hypothesis import strategies as st

from configs import household
from steppo_jax import methods, programs, settings
from tests.fuzz.tier import inputs

BASES = {
    name: household.get_config(name).to_dict()
    for name in (*methods.METHODS, "steppo,smoke")
}
EDGES = (-1, 0, 1, 2, 3, 7, 64, 2**31 - 1, 2**31, 2**32, 2**63, 10**30)
NUMBERS = st.one_of(
    st.sampled_from(EDGES),
    st.integers(),
    st.floats(),
    st.floats(0, 1),
    st.sampled_from((1e-46, 1e-30, 1e30, 3.5e38, 1e300)),
)
WORDS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(("", "none", "None", "train", "seen", "step", "token", "../x")),
)
ANYTHING = st.one_of(
    NUMBERS,
    WORDS,
    st.none(),
    st.booleans(),
    st.lists(WORDS, max_size=3),
    st.lists(NUMBERS, max_size=2),
    st.dictionaries(WORDS, NUMBERS, max_size=2),
)
FITTING = {  # mostly values of the right type, which come further
    int: st.one_of(st.integers(0, 300), st.sampled_from(EDGES)),
    float: NUMBERS,
    bool: st.booleans(),
    str: WORDS,
    tuple: st.lists(WORDS, max_size=3).map(tuple),
}


@st.composite
def edits(draw):
    """Field → value, for one to four fields."""
    names = draw(
        st.lists(st.sampled_from(list(settings.FIELDS)), min_size=1, max_size=4)
    )
    return {
        name: draw(st.one_of(FITTING[settings.FIELDS[name].kind], ANYTHING))
        for name in names
    }


def edited(base: str, changes) -> dict:
    values = copy.deepcopy(BASES[base])
    for name, value in changes.items():
        *parents, leaf = name.split(".")
        node = values
        for parent in parents:
            node = node[parent]
        node[leaf] = value
    return values


@inputs(300)
@given(st.sampled_from(list(BASES)), edits())
@example("steppo", {"policy.learning_rate": 1e300})
@example("steppo", {"policy.learning_rate": 1e-46})
@example("steppo", {"env.max_steps": 10**30})
@example("steppo", {"rollout.groups": 2**40})
@example("steppo", {"model.width": 2**31})
@example("steppo", {"iterations": 2**31})
@example("steppo", {"env.think_tokens": 10**9})
@example("steppo", {"credit.gamma": 10**400})
def test_every_value_is_accepted_or_refused(base, changes):
    try:
        config = settings.from_dict(edited(base, changes))
        settings.check(config)
    except settings.ConfigError as error:
        assert "\n" not in str(error), "one line"
        return
    programs.build(config)


@inputs(100)
@given(st.recursive(ANYTHING, lambda x: st.dictionaries(WORDS, x, max_size=3)))
def test_anything_else_than_a_configuration_is_refused(value):
    try:
        settings.from_dict({"seed": value} if not isinstance(value, dict) else value)
    except settings.ConfigError:
        return
    raise AssertionError("accepted")


@inputs(200)
@given(st.sampled_from(list(settings.FIELDS)), st.one_of(WORDS, NUMBERS.map(str)))
def test_text_from_a_command_line_is_read_or_refused(name, text):
    config = settings.tree()
    try:
        settings.update(config, name, text)
    except settings.ConfigError as error:
        assert name in str(error)
