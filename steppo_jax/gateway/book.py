"""What a gateway knows: trajectories, their steps and groups, as its record tells it.

The state is a function of the events: `Book.apply` is the only thing that changes it,
when an event happens and when the record is read again after a restart.
"""

from __future__ import annotations

import collections
import dataclasses
import time

from steppo_jax.gateway.record_file import Event

OPEN, TERMINATED, TRUNCATED = "open", "terminated", "truncated"
ABANDONED, DROPPED = "abandoned", "dropped"
REMEMBERED = 10_000  # ids of trajectories that are over and no longer held
SHOWN = 60  # trajectories that are over and shown on the page


@dataclasses.dataclass
class Step:
    """One call: what was read and said, exactly."""

    call: str  # id of the answer
    created: int  # unix seconds, as the answer says
    request: str  # digest of the request's body
    kind: str  # first | appended | rebuilt
    after: int | None  # the step that it extends
    prompt: list[int]
    token: list[int]
    log_prob: list[float]  # of each token, under the distribution sampled
    version: list[int]  # of the weights that sampled each token
    finish: str  # stop | length
    head: str  # digest of the conversation, this answer included
    messages: int  # messages of that conversation
    observation: str
    response: str
    seconds: float  # from the request's arrival until it was recorded
    reward: float | None = None


@dataclasses.dataclass
class Trajectory:
    id: str
    task: str
    group: int  # number of its group
    iteration: int  # whose key its draws come from
    number: int  # the trajectory of that iteration whose draws it has
    own_sampling: bool
    opened: float  # unix seconds
    status: str = OPEN
    cause: str = ""  # of abandoned and dropped ones
    steps: list[Step] = dataclasses.field(default_factory=list)
    outcome: dict[str, float] = dataclasses.field(default_factory=dict)
    next_prompt: list[int] | None = None
    keys: dict[str, int | str] = dataclasses.field(default_factory=dict)
    advantages: list[float] | None = None  # once it was learned from
    touched: float = dataclasses.field(default_factory=time.monotonic)
    busy: int = 0  # calls that are being answered

    @property
    def closed(self) -> bool:
        return self.status in (TERMINATED, TRUNCATED)

    def oldest(self) -> int | None:
        """The oldest weights that sampled in it."""
        return min((min(step.version) for step in self.steps), default=None)


@dataclasses.dataclass
class Group:
    id: int
    name: str
    iteration: int
    index: int  # place among the groups of its iteration
    members: dict[int, str] = dataclasses.field(default_factory=dict)  # place → id


class Book:
    """The state after some events.

    Args:
      learned: rows released to iterations before this one are let go of at once: a
        checkpoint has what was learned from them.
    """

    def __init__(self, learned: int = 0):
        self._learned = learned
        self.trajectories: dict[str, Trajectory] = {}
        self.groups: dict[int, Group] = {}  # that are forming or complete
        self.releases: dict[int, list[str]] = {}  # iteration → trajectories, in order
        self.weights: dict[int, int] = {}  # version → iteration that samples with it
        self.opened: collections.OrderedDict[str, str] = collections.OrderedDict()
        self.over: collections.OrderedDict[str, str] = collections.OrderedDict()
        self.shown: collections.deque[Trajectory] = collections.deque(maxlen=SHOWN)
        self.counts: collections.Counter[str] = collections.Counter()
        self.last_group = 0
        self.before = 0  # the record does not tell of earlier iterations any more
        self.replayed: dict[int, list[str]] = {}  # as `releases`, since `before`

    def apply(self, event: Event) -> None:
        """Goes on by one event."""
        getattr(self, f"_{event['e']}")(event)

    def forget(self, before: int) -> None:
        """Lets go of what was released to iterations before this one."""
        for iteration in [i for i in self.releases if i < before]:
            for one in self.releases.pop(iteration):
                self._leave(self.trajectories[one])

    # ---- events --------------------------------------------------------------
    def _weights(self, event: Event) -> None:
        self.weights[event["version"]] = event["iteration"]

    def _open(self, event: Event) -> None:
        size, number, iteration = event["size"], event["number"], event["iteration"]
        group = self.groups.get(event["group"])
        if group is None:
            made = (event["group"], event["name"], iteration, number // size)
            group = self.groups[event["group"]] = Group(*made)
            self.last_group = max(self.last_group, group.id)
        group.members[number % size] = event["id"]
        self.trajectories[event["id"]] = Trajectory(
            event["id"],
            event["task"],
            event["group"],
            iteration,
            number,
            event["own_sampling"],
            event["at"],
        )
        if event["key"] is not None:
            _remember(self.opened, event["key"], event["id"])
        self.counts["opened"] += 1

    def _step(self, event: Event) -> None:
        one = self.trajectories[event["id"]]
        prompt = event["more"]
        if event["after"] is not None:
            before = one.steps[event["after"]]
            prompt = [*before.prompt, *before.token, *prompt]
        names = ("call", "created", "request", "kind", "after", "token", "log_prob")
        names += ("version", "finish", "head", "messages", "observation", "response")
        given = {name: event[name] for name in names}
        if event["key"] is not None:
            one.keys[event["key"]] = len(one.steps)
        one.steps.append(Step(**given, prompt=prompt, seconds=event["seconds"]))
        self.counts["steps"] += 1
        self.counts[f"steps_{event['kind']}"] += 1
        self.counts["tokens"] += len(event["token"])

    def _reward(self, event: Event) -> None:
        one = self.trajectories[event["id"]]
        one.steps[event["step"]].reward = event["reward"]

    def _close(self, event: Event) -> None:
        one = self.trajectories[event["id"]]
        one.status, one.outcome = event["end"], event["outcome"]
        one.next_prompt = event["next"]
        if event["reward"] is not None:
            one.steps[-1].reward = event["reward"]
        if event["key"] is not None:
            one.keys[event["key"]] = "close"
        self.counts["closed"] += 1

    def _abandon(self, event: Event) -> None:
        one = self.trajectories[event["id"]]
        members = self.groups[one.group].members
        del members[next(m for m, name in members.items() if name == one.id)]
        if not members:
            del self.groups[one.group]
        one.status, one.cause = ABANDONED, event["cause"]
        self._leave(one)
        self.counts["abandoned"] += 1

    def _drop(self, event: Event) -> None:
        for name in self.groups.pop(event["group"]).members.values():
            one = self.trajectories[name]
            one.status, one.cause = DROPPED, event["cause"]
            self._leave(one)
            self.counts["dropped"] += 1
        self.counts["dropped_groups"] += 1

    def _release(self, event: Event) -> None:
        for name in event["ids"]:
            one = self.trajectories[name]
            self.groups.pop(one.group, None)
        self.releases[event["iteration"]] = event["ids"]
        self.replayed[event["iteration"]] = event["ids"]
        self.counts["released"] += len(event["ids"])
        if event["iteration"] < self._learned:
            self.forget(self._learned)

    def _so_far(self, event: Event) -> None:
        """What a shortened record has no other lines for."""
        self.before, self.last_group = event["before"], event["last_group"]
        self.replayed = {n: x for n, x in self.replayed.items() if n >= self.before}
        self.counts = collections.Counter(event["counts"])
        self.weights = dict(event["weights"])
        self.opened = collections.OrderedDict(event["opened"])
        self.over = collections.OrderedDict(event["over"])

    def _leave(self, one: Trajectory) -> None:
        del self.trajectories[one.id]
        _remember(self.over, one.id, one.status)
        self.shown.append(one)


def _remember(table: collections.OrderedDict, key: str, value: str) -> None:
    table[key] = value
    while len(table) > REMEMBERED:
        table.popitem(last=False)
