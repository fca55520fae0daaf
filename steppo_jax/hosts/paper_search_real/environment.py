"""An episode of paper search (`hosts.base.TextEnvironment`).

The observation is the paper's user message: query, history, a list of papers, the
newest complaints; the prompt is made anew from it at every step.
"""

from __future__ import annotations

from steppo_jax.hosts import said, tasks
from steppo_jax.hosts.base import Info
from steppo_jax.hosts.paper_search_real import expert
from steppo_jax.hosts.paper_search_real.library import Library
from steppo_jax.hosts.paper_search_real.pool import Pool

MOST_CALLS = 5  # of a step; more are left out
MOST_SHOWN = 10  # expanded papers, and as many others
MOST_COMPLAINTS = 3
QUERY_CHARACTERS = 300  # of a search where it is shown
TOOLS = {"search": "query", "expand": "paper_id"}


def rules(max_steps: int, form: str) -> str:
    """What a librarian is told; see `said` for the forms."""
    calls = "\n".join(
        said.say(tool, what, TOOLS, form)
        for tool, what in (("search", "WORDS"), ("expand", "ID"))
    )
    return (
        "You look for the papers that answer a query. A search finds papers by "
        "their words; expanding a listed paper finds those that cite it and those "
        "it cites. Papers that have to do with the query are kept.\n"
        f"Think, then call tools, up to {MOST_CALLS} calls in a turn:\n{calls}\n"
        "Never repeat a search, and expand a paper once at most, by the id that "
        f"the list shows. You have {max_steps} turns; a response "
        "without a call ends the search."
    )


class PaperText:
    """One librarian."""

    def __init__(self, family, library: Library):
        self._family, self._library = family, library
        self._over = True

    @property
    def instructions(self) -> str:
        return self._family.instructions

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[str, Info]:
        del seed  # the task decides everything
        query = tasks.of_options(options, self._library.queries)
        self._pool = Pool(self._library, query, self._family.relevance)
        self._steps, self._over = 0, False
        self._complaints: list[str] = []
        return self._observation(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        if self._over:
            raise ValueError("the episode is over: reset first")
        calls, wrong = said.actions(action, TOOLS, self._family.tool_form)
        self._steps += 1
        self._complaints += [tasks.shortened(w, QUERY_CHARACTERS) for w in wrong]
        self._pool.begin_step()
        reward = 0.0
        for tool, argument in calls[:MOST_CALLS]:
            search = tool == "search"
            paid = self._pool.search if search else self._pool.expand
            reward += paid(argument)
        ended = not calls
        cut = not ended and self._steps >= self._family.max_steps
        self._over = ended or cut
        return self._observation(), reward, ended, cut, self._info()

    def _observation(self) -> str:
        history = [
            f"[{tool.capitalize()}] {tasks.shortened(argument, QUERY_CHARACTERS)}"
            for tool, argument in self._pool.history
        ]
        listed = [self._line(name) for name in self._shown()]
        parts = [
            f"Query: {self._pool.query.question}",
            "History:\n" + ("\n".join(history) or "None"),
            "Papers:\n" + ("\n".join(listed) or "None"),
        ]
        if self._complaints:
            parts.append("Problems:\n" + "\n".join(self._complaints[-MOST_COMPLAINTS:]))
        return "\n\n".join(parts)

    def _shown(self) -> list[str]:
        ranked, expanded = self._pool.ranked(), self._pool.expanded
        old = [name for name in ranked if name in expanded][:MOST_SHOWN]
        return old + [name for name in ranked if name not in expanded][:MOST_SHOWN]

    def _line(self, name: str) -> str:
        paper = self._library.papers[name]
        tags = " (expanded)" if name in self._pool.expanded else ""
        tags += " (new)" if name in self._pool.new else ""
        words = paper.abstract.split()
        abstract = " ".join(words[: self._family.abstract_words])
        return f"[{name}]{tags} {paper.title}" + (f" — {abstract}" if abstract else "")

    def _info(self) -> Info:
        pool = self._pool
        info: Info = {
            "state_key": tasks.state_key(
                pool.query.question, sorted(pool.kept), sorted(pool.expanded)
            ),
            "outcome": pool.outcome(),
        }
        if not self._over:
            calls = expert.calls(pool, MOST_CALLS)
            form = self._family.tool_form
            lines = [said.say(tool, what, TOOLS, form) for tool, what in calls]
            info["expert"] = "\n".join(lines) or "I have found what there is."
        return info
