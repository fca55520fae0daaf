"""An episode of WebShop as text (`hosts.base.TextEnvironment`).

The observation is the paper's user message: instruction, page, the last pairs of page
and action, what can be done; the prompt is made anew from it at every step.
"""

from __future__ import annotations

import re

from steppo_jax.hosts import said, tasks
from steppo_jax.hosts.base import Info
from steppo_jax.hosts.webshop import expert, pages, score
from steppo_jax.hosts.webshop.pages import Visit
from steppo_jax.hosts.webshop.shop import Shop

FULL_REWARD, MALFORMED_REWARD = 10.0, -0.1
HISTORY_CHARACTERS = 1800  # of an earlier page
SHOWN_ACTIONS = 200
_COMMAND = re.compile(r"(search|click)\[(.+)\]", re.DOTALL)
TOOLS = {
    "hermes": {"env_step": "command"},
    "brackets": {"search": "keywords", "click": "value"},
}


def say(command: str, form: str) -> str:
    """A response that gives this one command."""
    tools = TOOLS[form]
    if form == "hermes":
        return said.say("env_step", command, tools, form)
    name, _, argument = command.partition("[")
    return said.say(name, argument[:-1], tools, form)


def rules(max_steps: int, form: str) -> str:
    """What a shopper is told; see `said` for the forms."""
    ways = "\n".join(
        say(command, form) for command in ("search[KEYWORDS]", "click[VALUE]")
    )
    return (
        "You are shopping in a web shop. Buy the product that satisfies the "
        "instruction, with the options it asks for. Choose options on the page of "
        f"an item before you buy. You have {max_steps} turns; buying ends "
        "the task.\n"
        "Take exactly one action per turn, one of:\n"
        f"{ways}\n"
        "VALUE is one of the clicks that are listed as available."
    )


class WebShopText:
    """One shopper."""

    def __init__(self, shop: Shop, max_steps: int, tool_form: str, history: int):
        self._shop, self._max_steps = shop, max_steps
        self._form, self._history = tool_form, history
        self._visit: Visit | None = None

    @property
    def instructions(self) -> str:
        return rules(self._max_steps, self._form)

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[str, Info]:
        del seed  # the task decides everything
        goal = tasks.of_options(options, self._shop.goals)
        self._visit, self._past, self._steps = Visit(goal), [], 0
        self._note, self._score = "", 0.0
        return self._observation(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        visit = self._visit
        if visit is None or visit.page == "bought" or self._steps >= self._max_steps:
            raise ValueError("the episode is over: reset first")
        before = pages.describe(visit, self._shop)
        command, wrong = self._command(action)
        self._steps += 1
        reward = 0.0
        if command is None:
            reward, self._note = MALFORMED_REWARD, f"Your last response {wrong}."
        else:
            self._note = "" if self._do(command) else "Your last action did nothing."
        done = tasks.shortened(command or "(no action)", SHOWN_ACTIONS)
        self._past.append((tasks.shortened(before, HISTORY_CHARACTERS), done))
        if visit.page == "bought":
            bought = visit.product(self._shop)
            self._score = score.score(visit.goal, bought, visit.chosen)
            reward = FULL_REWARD if self._score >= score.FULL else 0.0
        over = visit.page == "bought"
        cut = not over and self._steps >= self._max_steps
        return self._observation(), reward, over, cut, self._info()

    def _command(self, response: str) -> tuple[str | None, str]:
        """(the command, "") or (None, what was wrong)."""
        tools = TOOLS[self._form]
        calls, wrong = said.actions(response, tools, self._form)
        if wrong:
            return None, f"had a call that cannot be read ({wrong[0]})"[:300]
        if len(calls) != 1:
            return None, f"had {len(calls)} actions where exactly one is needed"
        name, argument = calls[0]
        return (argument if self._form == "hermes" else f"{name}[{argument}]"), ""

    def _do(self, command: str) -> bool:
        """Acts a command out; False if it is none, or there is no such click."""
        match = _COMMAND.fullmatch(command)
        if match is None:
            return False
        name, argument = match[1], match[2].strip().lower()
        if name == "search" and argument:
            pages.search(self._visit, argument, self._shop)
            return True
        return name == "click" and pages.click(self._visit, argument, self._shop)

    def _observation(self) -> str:
        visit = self._visit
        parts = [
            f"Instruction: {visit.goal.instruction}",
            f"Page: {pages.describe(visit, self._shop)}",
        ]
        earlier = self._past[-self._history :] if self._history else []
        for page, action in earlier:
            parts.append(f"Earlier page: {page}\nYour action there: {action}")
        if self._note:
            parts.append(self._note)
        if visit.page != "bought":
            clicks = pages.clickable(visit, self._shop)
            available = ["search[KEYWORDS]", *(f"click[{text}]" for text in clicks)]
            parts.append(f"Available: {', '.join(available)}")
        return "\n\n".join(parts)

    def _info(self) -> Info:
        visit = self._visit
        here = pages.describe(visit, self._shop)
        info: Info = {
            "state_key": tasks.state_key(visit.goal, here),
            "outcome": {
                "success": float(self._score >= score.FULL),
                "score": self._score,
            },
        }
        if visit.page != "bought" and self._steps < self._max_steps:
            info["expert"] = say(expert.command(visit, self._shop), self._form)
        return info
