"""The training loop: roll out, learn, record; stop and go on exactly."""

from __future__ import annotations

import contextlib
import pathlib
import signal
import time
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from ml_collections import ConfigDict

from steppo_jax import (
    assembly,
    closing,
    panel_records,
    panels,
    report,
    settings,
    trajectories,
)
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.learner.state import LearnerState
from steppo_jax.metrics import Metrics
from steppo_jax.pages import run_page
from steppo_jax.programs import Programs
from steppo_jax.progress import Progress, clock_text
from steppo_jax.run_record import Run

PROFILE_FROM = 2  # iterations after the start: by then everything is compiled


def run(config: ConfigDict, workdir: pathlib.Path, *, profile: int = 0) -> None:
    """Trains as `config` says, then draws and prints what was reached.

    A folder that holds a run of the same config is resumed from its last
    checkpoint. Whatever moment the run was killed at, everything but `time/` comes
    out bit for bit as without the kill (same devices and packages).

    Args:
      workdir: the run's folder; the README says what is in it.
      profile: number of iterations to trace into workdir/profile; 0 = none.

    Raises:
      ConfigError, WorkdirError: before any work is done.
      SystemExit 143: after SIGTERM, with everything saved.
    """
    settings.check(config)
    p = assembly.build(config)
    with (
        Run(workdir, config, p.env.version),
        contextlib.closing(
            Checkpoints(workdir / "checkpoints", keep=config.checkpoint.keep)
        ) as checkpoints,
        _sigterm() as stop,
    ):
        start, state = _start(p, checkpoints, stop)
        _Loop(p, checkpoints, workdir, start, profile).run(state, stop)
    report.write(workdir)
    run_page.write(workdir)
    closing.show(workdir)


def _start(
    p: Programs, checkpoints: Checkpoints, stop: list[int]
) -> tuple[int, LearnerState]:
    """The state to go on from, replicated: restored, or fresh after the warm start."""
    restored = checkpoints.restore_latest(p.abstract())
    if restored is not None:
        print(f"resuming after iteration {restored[0]}", flush=True)
        return restored[0], p.devices.replicate(restored[1])
    state = p.devices.replicate(_warm(p, p.begin(), stop))
    # Saved as every later state is, so that nothing new compiles at the next save.
    checkpoints.save(0, p.devices.first(state))
    checkpoints.wait()
    return 0, state


def _warm(p: Programs, state: LearnerState, stop: list[int]) -> LearnerState:
    """The state with a cloned policy, whose decoder the critic starts from too.

    Nothing is saved before it ends: stopped here, a run starts over.
    """
    if p.config.warm_start.success == 0:
        return state
    clone, evaluator = p.clone_settings(), p.evaluator("sampled")
    began = time.monotonic()

    def measure(params) -> float:
        outcome, _ = panels.play(evaluator, params, "train", clone.measured_on)
        return float(outcome["success"].mean())

    def tell(made: int, rate: float) -> None:
        # It ends on success, so nobody knows when: no bar, no made-up ETA.
        print(
            f"cloning  {made:4} updates  success {rate:.3f} (stops at "
            f"{clone.success:.2f})  {clock_text(time.monotonic() - began)}",
            flush=True,
        )
        if stop:
            print("SIGTERM: stopped while cloning; nothing to save yet", flush=True)
            raise SystemExit(128 + signal.SIGTERM)

    policy = p.clone(state, measure, tell)
    return p.learner.start_from(state, policy)


class _Loop:
    """One run's iterations and everything they write."""

    def __init__(
        self,
        p: Programs,
        checkpoints: Checkpoints,
        workdir: pathlib.Path,
        start: int,
        profile: int,
    ):
        self.p, self.config = p, p.config
        self.checkpoints, self.workdir = checkpoints, workdir
        self.start, self.end = start, p.config.iterations
        first = start + PROFILE_FROM
        self.profile = range(first, min(first + profile, self.end))
        method = p.config.preset.partition(":")[2]
        self.bar = Progress(method, self.end, start=start)
        self.evaluator = p.evaluator(p.config.eval.decoding)

    def run(self, state: LearnerState, stop: list[int]) -> None:
        """Iterations `start` … end; evaluates before the first and after the last."""
        panel_records.truncate(self.workdir, self.start - 1)
        with contextlib.closing(
            Metrics(self.workdir, self.bar, start=self.start)
        ) as metrics:
            for iteration in range(self.start, self.end):
                self._evaluate(iteration, state)
                self._trace(iteration)
                state = self._iterate(iteration, state, metrics)
                done = iteration + 1
                due = done % self.config.checkpoint.every == 0 or done == self.end
                if due or stop:
                    self.checkpoints.save(done, self.p.devices.first(state))
                if stop:
                    self.checkpoints.wait()
                    self.bar.say(f"SIGTERM: saved after iteration {done}")
                    raise SystemExit(128 + signal.SIGTERM)
        self._trace(self.end)
        self._evaluate(self.end, state)
        self.bar.close()

    def _iterate(self, iteration: int, state: LearnerState, metrics: Metrics):
        began = time.perf_counter()
        played = jax.block_until_ready(self.p.collect(state))
        played = self._with_anchors(played)
        rolled = time.perf_counter()
        state, learned, seen = self.p.update(state, played.steps, played.tokens)
        learned = jax.device_get(self.p.devices.first(learned))
        ended = time.perf_counter()
        outcome = jax.device_get(self.p.devices.join(played.outcome))
        tokens = float(learned["data/tokens"])
        metrics.write(
            iteration,
            {f"train/{name}": float(np.mean(x)) for name, x in outcome.items()}
            | {name: x.item() for name, x in learned.items()}
            | played.measured
            | {
                "time/rollout_seconds": rolled - began,
                "time/update_seconds": ended - rolled,
                "time/rollout_tokens_per_second": tokens / (rolled - began),
                "time/tokens_per_second": tokens / (ended - began),
            },
        )
        if self.config.trajectories and self._shows(iteration):
            self._write_trajectories(iteration, played, seen)
        return state

    def _with_anchors(self, played: Any) -> Any:
        """The rollout with anchor states by similar text, where the config asks."""
        threshold = self.config.credit.similarity
        if threshold is None:
            return played
        return self.p.with_similar_states(played, threshold)

    def _due(self, iteration: int) -> bool:
        """Whether panels are played after so many iterations."""
        every = self.config.eval.every
        return iteration in (0, self.end) or (every > 0 and iteration % every == 0)

    def _shows(self, iteration: int) -> bool:
        return self._due(iteration) or iteration == self.end - 1

    def _evaluate(self, iteration: int, state: LearnerState) -> None:
        if not self._due(iteration):
            return
        e = self.config.eval
        kind = panel_records.Kind(iteration, e.decoding, seed=0)
        panels.write(
            self.evaluator,
            state.policy,
            self.workdir,
            kind,
            e.panels,
            e.episodes,
            self.bar.say,
        )

    def _write_trajectories(self, iteration: int, played: Any, seen: Any) -> None:
        episodes = self.p.as_text(played, seen, self.config.trajectories)
        trajectories.write(self.workdir, iteration, episodes)

    def _trace(self, iteration: int) -> None:
        """Starts or stops the profiler before an iteration."""
        if self.profile and iteration == self.profile.start:
            jax.profiler.start_trace(str(self.workdir / "profile"))
        if self.profile and iteration == self.profile.stop:
            jax.profiler.stop_trace()
            self.bar.say(f"traced iterations {self.profile.start} to {iteration - 1}")


@contextlib.contextmanager
def _sigterm() -> Iterator[list[int]]:
    """A list that is no longer empty once SIGTERM has arrived."""
    arrived: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: arrived.append(number))
    try:
        yield arrived
    finally:
        signal.signal(signal.SIGTERM, before)
