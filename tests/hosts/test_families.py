"""What the families have in common: panels, experts, determinism, hostile text."""

import copy
import dataclasses
import zlib

import pytest

from steppo_jax.errors import Refused
from tests.hosts.data_cases import FAMILIES, HOSTILE, need, play

need("bm25s", "rapidfuzz")


def make(family, **settings):
    return family(data="generated", **settings)


@pytest.mark.parametrize("form", ["hermes", "brackets"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_expert_succeeds_in_the_golden_steps(family, form):
    env = make(family, tools=form == "hermes")
    env.check()
    for panel in env.panels:
        tasks = range(0, env.size(panel), max(1, env.size(panel) // 40))
        player, wins = env.make(), 0
        for task in tasks:
            steps, _, info, _ = play(player, panel, task)
            wins += info["outcome"]["success"]
            golden = env.golden_steps(panel, task)
            assert golden is None or golden <= steps <= env.max_steps
        assert wins >= 0.95 * len(tasks), (panel, wins, len(tasks))


# Frozen: a change of these is a new `version`.
FIRST = {
    "webshop": {"train": (1114, 3794984344), "test": (166, 4247667460)},
    "hotpotqa": {
        "train": (1024, 3951998666),
        "validation": (256, 2287815672),
        "2wiki": (256, 3081619919),
        "musique": (256, 774437984),
    },
    "paper_search_real": {
        "train": (403, 2763796737),
        "dev": (51, 2482116585),
        "test": (74, 1878782649),
        "real": (62, 2167056509),
    },
}


def first_lines(env, panel):
    player = env.make()
    return [
        player.reset(options={"panel": panel, "task": task})[0].splitlines()[0]
        for task in range(env.size(panel))
    ]


@pytest.mark.parametrize("family", FAMILIES)
def test_panels_are_frozen_and_disjoint(family):
    env = make(family)
    seen = {panel: first_lines(env, panel) for panel in env.panels}
    found = {p: (len(v), zlib.crc32("\n".join(v).encode())) for p, v in seen.items()}
    assert found == FIRST[env.name]
    everything = [line for lines in seen.values() for line in set(lines)]
    assert len(everything) == len(set(everything))


@pytest.mark.parametrize("family", FAMILIES)
def test_another_seed_makes_other_tasks(family):
    panel = family.panels[-1]
    assert first_lines(make(family), panel) != first_lines(make(family, seed=1), panel)


@pytest.mark.parametrize("family", FAMILIES)
def test_an_episode_depends_on_panel_and_task_only(family):
    env = make(family)
    player = env.make()
    play(player, "train", 5)  # leaves nothing behind
    one, two = play(player, "train", 3), play(env.make(), "train", 3)
    assert one == two
    assert play(player, "train", 4) != one


@pytest.mark.parametrize("form", ["hermes", "brackets"])
@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_text_is_data(family, form):
    player = make(family, tools=form == "hermes").make()
    reference = make(family, tools=form == "hermes").make()
    for text in HOSTILE:
        wrapped = [
            text,
            f"search[{text}]",
            f"click[{text}]",
            f"expand[{text}]",
            f'<tool_call>{{"name": "search", "arguments": "{text}"}}</tool_call>',
            "<tool_call>" + "[" * 20_000,
        ]
        for said in wrapped:
            player.reset(options={"panel": "train", "task": 0})
            seen, reward, *_ = player.step(said)
            assert isinstance(seen, str) and len(seen) < 40_000
            assert reward <= 3
    assert play(player, "train", 1) == play(reference, "train", 1)


@pytest.mark.parametrize("family", FAMILIES)
def test_settings_are_checked(family):
    with pytest.raises(Refused, match="data") as error:
        dataclasses.replace(make(family), data="/no/such/folder").check()
    assert "\n" not in str(error.value)
    with pytest.raises(Refused, match="no panel 'unseen'; it has train"):
        make(family).size("unseen")


@pytest.mark.parametrize("family", FAMILIES)
def test_mistakes_of_callers_are_named(family):
    player = make(family).make()
    with pytest.raises(ValueError, match=r"reset|panel"):
        player.reset()
    with pytest.raises(ValueError, match="is not in"):
        player.reset(options={"panel": "train", "task": 10**6})
    with pytest.raises(ValueError, match="over"):
        make(family).make().step("x")
    play(player, "train", 0)
    with pytest.raises(ValueError, match="over"):
        player.step("x")


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_its_class_and_its_fields(family):
    env = make(family, seed=2)
    assert family(**dataclasses.asdict(env)) == env == copy.copy(env)
    assert hash(env) == hash(copy.copy(env))
    assert "generated" in env.title


@pytest.mark.parametrize("family", FAMILIES)
def test_a_limit_truncates(family):
    env = make(family, max_steps=2)
    player = env.make()
    player.reset(options={"panel": "train", "task": 0})
    tool = "env_step" if env.name == "webshop" else "search"
    argument = "command" if env.name == "webshop" else "query"
    said = (
        f'<tool_call>{{"name": "{tool}", "arguments": {{"{argument}": '
        '"search[a]"}}</tool_call>'
    )
    assert player.step(said)[2:4] == (False, False)
    _, _, terminated, truncated, info = player.step(said.replace("[a]", "[b]"))
    assert (terminated, truncated) == (False, True)
    assert info["outcome"]["success"] == 0 and "expert" not in info
