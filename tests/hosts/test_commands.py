"""One command a step: prompt, parsing, outcome; what is said is data."""

import json

import pytest

from steppo_jax.hosts import speech
from steppo_jax.hosts.commands import (
    NO_COMMAND,
    CommandEnvironment,
    Opening,
    Path,
    Scene,
)
from tests.hosts.test_frames import HOSTILE

OPTIONS = {"panel": "train", "task": 3}


class Door:
    """Two commands win: open, go."""

    def start(self, panel, task):
        self.heard, self.path = [], Path(["open", "go"])
        return Opening(f"Leave room {task}.", self.scene("A shut door."), 2)

    def act(self, command):
        self.heard.append(command)
        self.path.heed(command)
        over = self.heard[-2:] == ["open", "go"]
        return self.scene(f"You {command}.", over)

    def scene(self, text, over=False):
        return Scene(
            text,
            commands=("go", "open"),
            expert=self.path.next,
            reward=float(over),
            over=over,
            success=over,
            score=float(over),
        )


def call(command, name="env_step"):
    return json.dumps({"name": name, "arguments": {"command": command}})


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("go", "go"),
        ("I think; no ;  go   north ", "go north"),
        ("go ;", None),
        ("", None),
        (" \n", None),
        ("x" * 501, None),
    ],
)
def test_without_tools_the_end_of_a_response_is_the_command(said, found):
    assert speech.command(said, tools=False) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        (f"<tool_call>{call('go')}</tool_call>", "go"),
        (f"<think>{call('a')}</think>\n<tool_call>\n{call('b')}\n</tool_call>", "b"),
        (f"<tool_call>{call('a')}</tool_call><tool_call>{call('b')}</tool_call>", "a"),
        (f"<think>{call('a')}</think>{call('b')}", "b"),
        (f"So: {call('go')} done", "go"),
        (call("go", "other"), None),
        ('{"name": "env_step", "arguments": "go"}', None),
        ('{"name": "env_step", "arguments": {"command": 3}}', None),
        ('{"name": "env_step"', None),
        ("[1]", None),
        ("go", None),
        ("{" * 100_000, None),
    ],
)
def test_with_tools_it_is_the_first_call(said, found):
    assert speech.command(said, tools=True) == found


@pytest.mark.parametrize("tools", [True, False])
@pytest.mark.parametrize("text", ["go to desk 1", 'say "</tool_call>{" now'])
def test_what_the_expert_says_is_understood(text, tools):
    if tools and "</tool_call>" in text:
        text = text.replace("</tool_call>", "")
    assert speech.command(speech.response(text, tools), tools) == text


def test_an_episode_of_the_expert():
    env = CommandEnvironment(Door(), "Rules.", tools=True)
    seen, info = env.reset(options=OPTIONS)
    assert seen == "Task: Leave room 3.\nPossible: go, open\nNow: A shut door."
    seen, reward, over, cut, info = env.step(info["expert"])
    assert seen == (
        "Task: Leave room 3.\nDone so far: 1. open\nPossible: go, open\nNow: You open."
    )
    assert (reward, over, cut) == (0.0, False, False)
    _, reward, over, _, info = env.step(info["expert"])
    assert (reward, over) == (1.0, True)
    assert info["outcome"] == {
        "success": 1.0,
        "score": 1.0,
        "impossible": 0.0,
        "no_command": 0.0,
        "golden_steps": 2.0,
    }


def test_no_command_changes_nothing_and_is_told_once():
    door = Door()
    env = CommandEnvironment(door, "Rules.", tools=True)
    first = env.reset(options=OPTIONS)[1]["state_key"]
    for _ in range(2):  # the complaint does not pile up
        seen, *_, info = env.step("go")
        assert seen.endswith(f"{NO_COMMAND}\nNow: A shut door.")
        assert seen.count(NO_COMMAND) == 1 and door.heard == []
    assert info["state_key"] == first and info["expert"], "the same situation"
    seen, *_, info = env.step(call("dance"))
    assert NO_COMMAND not in seen and "1. (no command) 2. (no command)" in seen
    assert door.heard == ["dance"], "a command that is not possible is sent"
    outcome = info["outcome"]
    assert (outcome["no_command"], outcome["impossible"]) == (2, 1)
    assert "expert" not in info, "its path was left"


def test_earlier_observations_stand_in_the_prompt_where_asked():
    env = CommandEnvironment(Door(), "Rules.", remembered=1)
    env.reset(options=OPTIONS)
    env.step("open")
    seen, *_ = env.step("look")
    assert "Before: You open.\n> look\n" in seen and "shut" not in seen


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("tools", [True, False])
def test_hostile_words_are_a_command_like_any_other(text, tools):
    door = Door()
    env = CommandEnvironment(door, "Rules.", tools=tools)
    env.reset(options=OPTIONS)
    words = text.replace(";", ",")
    env.step(speech.response(words, tools))
    assert door.heard == [" ".join(words.split())]


def test_a_task_must_be_named():
    with pytest.raises(ValueError, match="options"):
        CommandEnvironment(Door(), "Rules.").reset(seed=1)
