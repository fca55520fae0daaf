"""An episode of question answering with search (`hosts.base.TextEnvironment`).

The observation is the paper's user message: question, past searches, passages found so
far, the newest complaints; the prompt is made anew from it at every step. The question
itself is searched before the first step, which is no step of the policy.
"""

from __future__ import annotations

from collections.abc import Callable

from steppo_jax.hosts import said, tasks
from steppo_jax.hosts.base import Info
from steppo_jax.hosts.hotpotqa import answers
from steppo_jax.hosts.hotpotqa.library import Domain
from steppo_jax.hosts.retrieval import Retriever

MOST_CALLS = 4  # searches of a step; more are left out
MOST_COMPLAINTS = 3
QUERY_CHARACTERS = 300  # of a query where it is shown
TOOLS = {
    "hermes": {"search": "query"},
    "brackets": {"search": "query", "answer": "text"},
}


def rules(max_steps: int, form: str) -> str:
    """What a reader is told; see `said` for the forms."""
    call = said.say("search", "QUERY", TOOLS[form], form)
    answer = "answer[ANSWER]" if form == "brackets" else "<answer>ANSWER</answer>"
    return (
        "You are a research agent. Answer the question from the evidence of "
        "Wikipedia passages that you search for.\n"
        "To search, think, then call the tool, up to "
        f"{MOST_CALLS} times in a turn:\n{call}\n"
        "When the passages tell the answer, give it, as short as possible, without "
        f"a tool call:\n{answer}\n"
        f"A response without a search ends the task. You have "
        f"{max_steps} turns."
    )


class HotpotText:
    """One reader."""

    def __init__(self, family, domain_of: Callable[[str], tuple[Domain, Retriever]]):
        self._family, self._domain_of = family, domain_of
        self._over = True

    @property
    def instructions(self) -> str:
        return self._family.instructions

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[str, Info]:
        del seed  # the task decides everything
        panel = (options or {}).get("panel")
        domain, self._retriever = self._domain_of(panel)
        self._question = tasks.of_options(options, domain.questions)
        self._passages = domain.passages
        self._searched: list[str] = []
        self._found: dict[int, str] = {}  # passage → the query that found it first
        self._complaints: list[str] = []
        self._steps, self._over, self._match, self._f1 = 0, False, 0.0, 0.0
        self._answered = False
        self._search(self._question.question)
        self._searched.clear()
        return self._observation(), self._info()

    def step(self, action: str) -> tuple[str, float, bool, bool, Info]:
        if self._over:
            raise ValueError("the episode is over: reset first")
        form = self._family.tool_form
        calls, wrong = said.actions(action, TOOLS[form], form)
        queries = [query for name, query in calls if name == "search" and query]
        self._steps += 1
        self._complaints += [tasks.shortened(w, QUERY_CHARACTERS) for w in wrong]
        if len(queries) > MOST_CALLS:
            self._complaints.append(
                f"{len(queries)} searches: only the first {MOST_CALLS} were done"
            )
        for query in queries[:MOST_CALLS]:
            self._search(query)
        if not queries:
            bracketed = [text for name, text in calls if name == "answer"]
            text = answers.answer_of(said.without_thoughts(action))
            self._judge(bracketed[-1] if bracketed else text)
        cut = bool(queries) and self._steps >= self._family.max_steps
        self._over = cut or not queries
        return self._observation(), self._match, not queries, cut, self._info()

    def _judge(self, answer: str) -> None:
        self._answered = True
        self._match = answers.exact_match(answer, self._question.answers)
        self._f1 = answers.f1(answer, self._question.answers)

    def _search(self, query: str) -> None:
        self._searched.append(tasks.shortened(query, QUERY_CHARACTERS))
        for i in self._retriever.search(query, self._family.top):
            self._found.setdefault(i, self._searched[-1])

    def _observation(self) -> str:
        past = "\n".join(f"[Search] {query}" for query in self._searched) or "None"
        parts = [
            f"Question: {self._question.question}",
            f"Past actions:\n{past}",
            f"Passages:\n{self._block() or 'None'}",
        ]
        if self._complaints:
            newest = self._complaints[-MOST_COMPLAINTS:]
            parts.append("Problems:\n" + "\n".join(newest))
        return "\n\n".join(parts)

    def _block(self) -> str:
        """Passages as text. Where they are too long, those found first go first."""
        family, lines, room = self._family, [], self._family.block_characters
        for number, (i, query) in reversed(list(enumerate(self._found.items(), 1))):
            passage = self._passages[i]
            text = f"{passage.title}: {passage.text}"
            text = tasks.shortened(text, family.passage_characters)
            line = f"[{number}] (query: {query}) {text}"
            room -= len(line) + 1
            if room < 0 and lines:
                break
            lines.append(line)
        return "\n".join(reversed(lines))

    def _info(self) -> Info:
        info: Info = {
            "state_key": tasks.state_key(self._question.question, sorted(self._found)),
            "outcome": {
                "success": self._match,
                "f1": self._f1,
                "answered": float(self._answered),
            },
        }
        if not self._over:
            info["expert"] = self._expert()
        return info

    def _expert(self) -> str:
        """Searches for the next passage that is needed, by its title; then answers."""
        form = self._family.tool_form
        seen = {self._passages[i].title for i in self._found}
        for title in self._question.titles:
            if title not in seen and title not in self._searched:
                return said.say("search", title, TOOLS[form], form)
        answer = self._question.answers[0]
        if form == "brackets":
            return said.say("answer", answer, TOOLS[form], form)
        return f"<answer>{answer}</answer>"
