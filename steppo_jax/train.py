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
    anchors,
    closing,
    draws,
    faults,
    memory,
    panel_records,
    panels,
    programs,
    report,
    settings,
    trajectories,
    warm_start,
)
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.guards import Guards, RunStopped
from steppo_jax.learner.state import LearnerState
from steppo_jax.metrics import Metrics
from steppo_jax.programs import Programs
from steppo_jax.progress import Progress, clock_text
from steppo_jax.run_record import Run, WorkdirError

PROFILE_FROM = 2  # iterations after the start: by then everything is compiled


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
    p = programs.build(config)
    with (
        Run(workdir, config, p.env.version, accept_changes) as folder,
        contextlib.closing(
            Checkpoints(workdir / "checkpoints", keep=config.checkpoint.keep)
        ) as checkpoints,
        _sigterm() as stop,
    ):
        if checkpoints.iterations()[-1:] != [config.iterations]:
            folder.unless_refused(lambda: memory.check(p))
        start, state = _start(p, checkpoints, stop)
        if start > config.iterations:  # accepted, but not to be undone
            raise WorkdirError(
                f"workdir {workdir} has learned for {start} iterations, "
                f"config.iterations={config.iterations}; give {start} or more, or "
                "another workdir"
            )
        for text in folder.changes:
            print(f"changed: {text}", flush=True)
        folder.accept()
        _Loop(p, checkpoints, workdir, start, profile).run(state, stop)
    report.write(workdir)
    closing.show(workdir)


def _start(
    p: Programs, checkpoints: Checkpoints, stop: list[int]
) -> tuple[int, LearnerState]:
    """The state to go on from, replicated: restored, or fresh after the warm start."""
    fresh = jax.jit(p.learner.init)(jax.random.key(p.config.seed))
    restored = checkpoints.restore_latest(fresh)
    if restored is not None:
        print(f"resuming after iteration {restored[0]}", flush=True)
        return restored[0], p.devices.replicate(restored[1])
    state = p.devices.replicate(_warm(p, fresh, stop))
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
        outcome, _ = panels.play(evaluator, params, "train", warm_start.MEASURED_ON)
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

    policy = warm_start.clone(
        p.devices,
        p.learner.policy,
        p.env,
        p.play_settings("sampled"),
        clone,
        state.policy,
        draws.key_of(state.key, "clone"),
        measure,
        tell,
    )
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
        self.guards = Guards(p.guards, workdir, start)
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
        values = {f"train/{name}": float(np.mean(x)) for name, x in outcome.items()}
        values |= {name: x.item() for name, x in learned.items()}
        skipped = jax.device_get(self.p.devices.first(seen["skipped"]))
        verdict = self.guards.judge(iteration, values, skipped)
        values |= verdict.metrics
        values |= {
            "time/rollout_seconds": rolled - began,
            "time/update_seconds": ended - rolled,
            "time/rollout_tokens_per_second": tokens / (rolled - began),
            "time/tokens_per_second": tokens / (ended - began),
        }
        if skipped.any():
            self._write_faults(iteration, played, seen, skipped)
        metrics.write(iteration, values)
        if self.config.trajectories and self._shows(iteration):
            self._write_trajectories(iteration, played, seen)
        for text in verdict.warnings:
            self.bar.say(f"warning: {text}")
        if verdict.stop:
            raise RunStopped(verdict.stop)
        return state

    def _with_anchors(self, played: Any) -> Any:
        """The rollout with anchor states by similar text, where the config asks."""
        threshold = self.config.credit.similarity
        if threshold is None:
            return played
        steps = anchors.by_similar_text(
            self.p.devices, self.p.env, played.steps, played.tokens, threshold
        )
        return played.replace(steps=steps)

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
        steps, tokens, seen = self.p.devices.join((played.steps, played.tokens, seen))
        # Sequence numbers count from 0 on each device; the first device's are enough.
        count = min(self.config.trajectories, self.p.trajectories_per_device)
        episodes = trajectories.as_text(self.p.env, steps, tokens, seen, count)
        trajectories.write(self.workdir, iteration, episodes)

    def _write_faults(self, iteration: int, played: Any, seen: Any, skipped) -> None:
        tables = self.p.devices.join((played.steps, played.tokens, dict(seen)))
        count = self.p.devices.count
        faults.write(self.workdir, iteration, *jax.device_get(tables), skipped, count)

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
