"""The training loop: roll out, learn, record; stop and go on exactly."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from steppo_jax import (
    assembly,
    closing,
    faults,
    memory,
    panel_records,
    panels,
    processes,
    report,
    settings,
    trajectories,
)
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.guards import Guards, RunStopped, Verdict
from steppo_jax.learner.state import LearnerState
from steppo_jax.metrics import Metrics
from steppo_jax.pages import run_page
from steppo_jax.programs import Programs
from steppo_jax.progress import Bar, Progress, Silent, clock_text
from steppo_jax.run_record import Run, WorkdirError

# (fresh state, () → cloned policy) → the policy to start from.
Warm = Callable[[LearnerState, Callable[[], Any]], Any]
PROFILE_FROM = 2  # iterations after the start: by then everything is compiled


def _print(text: str) -> None:
    print(text, flush=True)


def run(
    config: ConfigDict,
    workdir: pathlib.Path,
    *,
    profile: int = 0,
    accept_changes: bool = False,
) -> None:
    """Trains as `config` says, then draws and prints what was reached.

    A folder that holds a run of the same config is resumed from its last
    checkpoint. Whatever moment the run was killed at, everything but `time/` comes
    out bit for bit as without the kill (same devices and packages). With more
    `iterations` than the run has it ends as a run of so many would.

    Args:
      workdir: the run's folder; the README says what is in it.
      profile: number of iterations to trace into workdir/profile; 0 = none.
      accept_changes: go on although settings or environment version differ from the
        run's; config.json then says so.

    Raises:
      ConfigError, WorkdirError: before any work is done.
      TooLarge: the run cannot fit into memory.
      RunStopped: a guard found a number that must not be.
      SystemExit 143: after SIGTERM, with everything saved.
    """
    settings.check(config)
    lag = config.gateway.staleness
    if lag is not None:
        rule = "rows come from outside, and this run collects its own"
        remedy = "start it with experiments.gateway, or set --config.gateway.*=None"
        raise settings.refuse("gateway.staleness", lag, rule, remedy)
    p = assembly.build(config)
    learn(p, workdir, profile=profile, accept_changes=accept_changes)
    processes.together(lambda: processes.is_writer() and _show(workdir))


def _show(workdir: pathlib.Path) -> None:
    report.write(workdir)
    run_page.write(workdir)
    closing.show(workdir)


def learn(
    p: Programs,
    workdir: pathlib.Path,
    *,
    bar: Bar | None = None,
    warm: Warm = lambda state, clone: clone(),
    profile: int = 0,
    accept_changes: bool = False,
    stop: list[int] | None = None,
) -> None:
    """All of `run` but the pictures and tables at its end.

    Args:
      p: the programs of a checked configuration.
      bar: where the run's lines go; its own by default.
      warm: (fresh state, cloning) → the cloned policy, for runs that share one.
      stop: no longer empty once SIGTERM has arrived, for who waits outside the loop.
    """
    if not processes.is_writer():
        bar = Silent()
    config, say = p.config, bar.say if bar else _print
    with (
        processes.folder(workdir) as own,
        processes.together(
            lambda: Run(own, config, p.env.version, accept_changes=accept_changes)
        ) as folder,
        contextlib.closing(
            Checkpoints(workdir / "checkpoints", keep=config.checkpoint.keep)
        ) as checkpoints,
        sigterm(stop) as stop,
    ):
        if checkpoints.iterations()[-1:] != [config.iterations]:
            needed = folder.unless_refused(
                lambda: processes.together(lambda: memory.check(p))
            )
            if needed and not bar:  # a run among others leaves the line out
                say(f"memory by the compiled programs: {needed}")
        start, state = _start(p, checkpoints, stop, warm, say)
        if start > config.iterations:  # accepted, but not to be undone
            raise WorkdirError(
                f"workdir {workdir} has learned for {start} iterations, "
                f"config.iterations={config.iterations}; give {start} or more, or "
                "another workdir"
            )
        for text in folder.changes:
            say(f"changed: {text}")
        folder.accept()
        Loop(p, checkpoints, own, start, bar, profile).run(state, stop)


def trained(p: Programs, workdir: pathlib.Path) -> LearnerState:
    """The state after the last iteration of a finished run, replicated."""
    folder = Checkpoints(workdir / "checkpoints", read_only=True)
    with contextlib.closing(folder) as checkpoints:
        return p.devices.replicate(
            checkpoints.restore(p.config.iterations, p.abstract())
        )


def _start(
    p: Programs,
    checkpoints: Checkpoints,
    stop: list[int],
    warm: Warm,
    say: Callable[[str], None],
) -> tuple[int, LearnerState]:
    """The state to go on from, replicated: restored, or fresh after the warm start."""
    restored = checkpoints.restore_latest(p.abstract())
    if restored is None:
        return 0, begin(p, p.begin(), checkpoints, stop, warm, say)
    say(f"resuming after iteration {restored[0]}")
    return restored[0], p.devices.replicate(restored[1])


def begin(
    p: Programs,
    fresh: LearnerState,
    checkpoints: Checkpoints,
    stop: list[int],
    warm: Warm,
    say: Callable[[str], None],
) -> LearnerState:
    """The state of iteration 0, replicated: after the warm start, and saved."""
    state = p.devices.replicate(_warm(p, fresh, stop, warm, say))
    # Saved as every later state is, so that nothing new compiles at the next save.
    checkpoints.save(0, p.devices.first(state))
    checkpoints.wait()
    return state


def _warm(
    p: Programs,
    state: LearnerState,
    stop: list[int],
    warm: Warm = lambda state, clone: clone(),
    say: Callable[[str], None] = _print,
) -> LearnerState:
    """The state with a cloned policy, whose decoder the critic starts from too.

    Nothing is saved before it ends: stopped here, a run starts over.
    """
    if p.config.warm_start.success == 0:
        return state
    target, evaluator = p.config.warm_start.success, p.evaluator("sampled")
    began = time.monotonic()

    def measure(params) -> float:
        outcome, _ = panels.play(
            evaluator, params, "train", p.config.warm_start.measured_on
        )
        return float(outcome["success"].mean())

    def tell(made: int, rate: float | None) -> None:
        if rate is not None:
            # It ends on success, so nobody knows when: no bar, no made-up ETA.
            say(
                f"cloning  {made:4} updates  success {rate:.3f} (stops at "
                f"{target:.2f})  {clock_text(time.monotonic() - began)}"
            )
        if processes.any_of(bool(stop)):
            say("SIGTERM: stopped while cloning; nothing to save yet")
            raise SystemExit(128 + signal.SIGTERM)

    def clone():
        return p.clone(state, measure, tell)

    return p.learner.start_from(state, warm(state, clone))


class Loop:
    """One run's iterations and everything they write."""

    def __init__(
        self,
        p: Programs,
        checkpoints: Checkpoints,
        workdir: pathlib.Path,
        start: int,
        bar: Bar | None = None,
        profile: int = 0,
    ):
        self.p, self.config, self.update = p, p.config, p.update
        self.checkpoints, self.workdir = checkpoints, workdir
        self.start, self.end = start, p.config.iterations
        first = start + PROFILE_FROM
        self.profile = range(first, min(first + profile, self.end))
        method = p.config.preset.partition(":")[2]
        self.guards = Guards(p.guards, workdir, start)
        self.bar = bar or Progress(method, self.end, start=start)
        self.evaluator = p.evaluator(p.config.eval.decoding)

    def run(self, state: LearnerState, stop: list[int]) -> None:
        """Iterations `start` … end; evaluates before the first and after the last."""
        with contextlib.ExitStack() as at_end:
            at_end.callback(self.p.leave)
            metrics = at_end.enter_context(self.recording())
            for iteration in range(self.start, self.end):
                self.evaluate(iteration, state.policy)
                self._trace(iteration)
                state = self._iterate(iteration, state, metrics)
                done = iteration + 1
                stopping = processes.any_of(bool(stop))
                if self.saves(done) or stopping:
                    self.checkpoints.save(done, self.p.devices.first(state))
                if stopping:
                    self.checkpoints.wait()
                    self.bar.say(f"SIGTERM: saved after iteration {done}")
                    raise SystemExit(128 + signal.SIGTERM)
        self._trace(self.end)
        self.evaluate(self.end, state.policy)
        self.bar.close()

    def recording(self) -> contextlib.closing[Metrics]:
        """The metrics to write into; what is younger than `start` is dropped."""
        panel_records.truncate(self.workdir, self.start - 1)
        return contextlib.closing(Metrics(self.workdir, self.bar, start=self.start))

    def saves(self, done: int) -> bool:
        """Whether a checkpoint is due after so many iterations."""
        return done % self.config.checkpoint.every == 0 or done == self.end

    def _iterate(self, iteration: int, state: LearnerState, metrics: Metrics):
        began = time.perf_counter()
        played = jax.block_until_ready(self.p.collect(state))
        played = self._with_anchors(played)
        rolled = time.perf_counter()
        if iteration + 1 < self.end:
            self.p.look_ahead(state)
        state, learned, seen = self.update(state, played.steps, played.tokens)
        learned = self.p.devices.to_host(learned)
        seconds = (rolled - began, time.perf_counter() - rolled)
        outcome = jax.device_get(self.p.devices.join(played.outcome))
        skipped_U = self.p.devices.to_host(seen["skipped"])
        # Before the line: a run killed in between writes the same file again.
        self.write_faults(iteration, played, seen, skipped_U)
        verdict = self.record(
            metrics, iteration, outcome, learned, skipped_U, seconds, played.measured
        )
        if self.shows(iteration):
            self.write_trajectories(iteration, played, seen)
        self.heed(verdict)
        return state

    def record(
        self,
        metrics: Metrics,
        iteration: int,
        outcome: dict[str, np.ndarray],
        learned: dict[str, np.ndarray],
        skipped_U: np.ndarray,
        seconds: tuple[float, float],
        measured: Mapping[str, float] = {},
    ) -> Verdict:
        """One line of metrics, judged; `seconds` of rollout and update."""
        tokens, (rolling, updating) = float(learned["data/tokens"]), seconds
        values = {f"train/{name}": float(np.mean(x)) for name, x in outcome.items()}
        values |= {name: x.item() for name, x in learned.items()} | dict(measured)
        verdict = self.guards.judge(iteration, values, skipped_U)
        metrics.write(
            iteration,
            values
            | verdict.metrics
            | {
                "time/rollout_seconds": rolling,
                "time/update_seconds": updating,
                "time/rollout_tokens_per_second": tokens / rolling,
                "time/tokens_per_second": tokens / (rolling + updating),
            },
        )
        return verdict

    def heed(self, verdict: Verdict) -> None:
        """Says what a verdict warns of. Raises RunStopped where it says stop."""
        for text in verdict.warnings:
            self.bar.say(f"warning: {text}")
        # The writer alone has the run's earlier numbers.
        if processes.any_of(verdict.stop is not None and processes.is_writer()):
            raise RunStopped(verdict.stop or "the guards of process 0 stopped the run")

    def _with_anchors(self, played: Any) -> Any:
        """The rollout with anchor states by similar text, where the config asks."""
        threshold = self.config.credit.similarity
        if threshold is None:
            return played
        return self.p.with_similar_states(played, threshold)

    def due(self, iteration: int) -> bool:
        """Whether panels are played after so many iterations."""
        every = self.config.eval.every
        return iteration in (0, self.end) or (every > 0 and iteration % every == 0)

    def shows(self, iteration: int) -> bool:
        """Whether episodes of an iteration are written as text."""
        last = iteration == self.end - 1
        return self.config.trajectories > 0 and (self.due(iteration) or last)

    def evaluate(self, iteration: int, policy: Any) -> None:
        """Plays the panels where that is due, with replicated parameters."""
        if not self.due(iteration):
            return
        e = self.config.eval
        kind = panel_records.Kind(iteration, e.decoding, seed=0)
        panels.write(
            self.evaluator,
            policy,
            self.workdir,
            kind,
            e.panels,
            e.episodes,
            self.bar.say,
        )

    def write_trajectories(self, iteration: int, played: Any, seen: Any) -> None:
        """The first episodes as text, with what the learner saw in each step."""
        episodes = self.p.as_text(played, seen, self.config.trajectories)
        trajectories.write(self.workdir, iteration, episodes)

    def write_faults(
        self, iteration: int, played: Any, seen: Any, skipped_U: np.ndarray
    ) -> None:
        """The rows of optimizer updates that were left out, if any was."""
        if not skipped_U.any():
            return
        tables = self.p.devices.join((played.steps, played.tokens, dict(seen)))
        count = self.p.devices.numbered
        faults.write(self.workdir, iteration, *jax.device_get(tables), skipped_U, count)

    def _trace(self, iteration: int) -> None:
        """Starts or stops the profiler before an iteration."""
        if self.profile and iteration == self.profile.start:
            jax.profiler.start_trace(str(self.workdir / "profile"))
        if self.profile and iteration == self.profile.stop:
            jax.profiler.stop_trace()
            self.bar.say(f"traced iterations {self.profile.start} to {iteration - 1}")


@contextlib.contextmanager
def sigterm(given: list[int] | None = None) -> Iterator[list[int]]:
    """A list (the given one) that is no longer empty once SIGTERM has arrived."""
    arrived: list[int] = [] if given is None else given
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    try:
        yield arrived
    finally:
        signal.signal(signal.SIGTERM, before)
