"""Several runs as lanes of one compiled program: `vmap` over states and numbers.

Everything on disk is as from runs of their own. The numbers are not bit for bit those
(batched matrix products add in another order), so config.json says how many lanes a
run had; `time/` fields are the program's divided by that.
"""

from __future__ import annotations

import contextlib
import pathlib
import signal
import time
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import train
from steppo_jax.checkpoint import Checkpoints
from steppo_jax.errors import Refused
from steppo_jax.guards import RunStopped, Verdict
from steppo_jax.learner.state import LearnerState
from steppo_jax.parallel import ONE
from steppo_jax.programs import Programs
from steppo_jax.progress import Bar
from steppo_jax.run_record import Run


def learn(
    lanes: Sequence[Programs],
    workdirs: Sequence[pathlib.Path],
    bars: Sequence[Bar],
    warms: Sequence[train.Warm],
) -> None:
    """Trains runs of one shape and length together, as `train.learn` does each alone.

    Guards judge every lane by its own numbers; one that is stopped stops all. How much
    memory the lanes need together is not estimated.

    Raises Refused where their folders were left at different iterations, RunStopped
    where a guard stops a lane.
    """
    count = len(lanes)
    with contextlib.ExitStack() as stack:
        checkpoints = []
        for p, workdir in zip(lanes, workdirs):
            stack.enter_context(Run(workdir, p.config, p.env.version, lanes=count))
            keep = p.config.checkpoint.keep
            each = Checkpoints(workdir / "checkpoints", keep=keep)
            checkpoints.append(stack.enter_context(contextlib.closing(each)))
        stop = stack.enter_context(train.sigterm())
        start, states = _start(lanes, checkpoints, warms, bars, stop)
        loops = [
            train.Loop(p, kept, workdir, start, bar)
            for p, kept, workdir, bar in zip(lanes, checkpoints, workdirs, bars)
        ]
        files = [stack.enter_context(loop.recording()) for loop in loops]
        state = _stack(states)
        programs = _compiled(lanes[0], count)
        numbers = _stack([p.numbers for p in lanes])
        for iteration in range(start, loops[0].end):
            _evaluate(loops, iteration, state)
            state = _iterate(programs, numbers, state, loops, files, iteration)
            if loops[0].saves(iteration + 1) or stop:
                for i, kept in enumerate(checkpoints):
                    kept.save(iteration + 1, _lane(state, i))
            if stop:
                for kept in checkpoints:
                    kept.wait()
                raise SystemExit(128 + signal.SIGTERM)
        _evaluate(loops, loops[0].end, state)


def _start(lanes, checkpoints, warms, bars, stop) -> tuple[int, list[LearnerState]]:
    """The latest iteration that all lanes have, and their states there."""
    fresh = [p.init(jax.random.key(p.config.seed)) for p in lanes]
    saved = [set(kept.iterations()) for kept in checkpoints]
    common = set.intersection(*saved)
    if common:
        start = max(common)
        states = [kept.restore(start, x) for kept, x in zip(checkpoints, fresh)]
        for kept in checkpoints:
            kept.forget_after(start)
        return start, states
    if any(saved) and not all(x <= {0} for x in saved):
        raise Refused(
            f"lanes of one program were left after different iterations "
            f"({[max(x, default=0) for x in saved]}); go on with --lanes=1"
        )
    states = [
        kept.restore(0, x)
        if kept.iterations()
        else train.begin(p, x, kept, stop, warm, bar.say)
        for p, x, kept, warm, bar in zip(lanes, fresh, checkpoints, warms, bars)
    ]
    return 0, states


def _compiled(p: Programs, count: int):
    """(collect, update) of `count` lanes; kept with the programs of one."""
    if len(p.devices.devices) != 1:
        raise ValueError("lanes share one device")
    name = f"{count} lanes"
    if name not in p.compiled:
        collecting, updating = p.collecting(), p.updating()
        collect = jax.jit(jax.vmap(lambda state: collecting(ONE, state)))
        update = jax.vmap(lambda *tables: updating(ONE, *tables))
        p.compiled[name] = (collect, jax.jit(update, donate_argnums=1))
    return p.compiled[name]


def _iterate(programs, numbers, state, loops, files, iteration: int):
    """One iteration of all lanes; their lines, and episodes where those are due."""
    (collect, update), count = programs, len(loops)
    began = time.perf_counter()
    played = jax.block_until_ready(collect(state))
    rolled = time.perf_counter()
    state, learned, seen = update(numbers, state, played.steps, played.tokens)
    learned = jax.device_get(learned)
    ended = time.perf_counter()
    seconds = ((rolled - began) / count, (ended - rolled) / count)
    outcome, skipped_U = jax.device_get((played.outcome, seen["skipped"]))
    verdicts = []
    for i, (loop, file) in enumerate(zip(loops, files)):
        if skipped_U[i].any():
            its = _lane((played, seen), i)
            loop.write_faults(iteration, *its, skipped_U[i])
        rows = _row(outcome, i), _row(learned, i)
        verdicts.append(loop.record(file, iteration, *rows, skipped_U[i], seconds))
        if loop.shows(iteration):
            loop.write_trajectories(iteration, _lane(played, i), _lane(seen, i))
    _heed(loops, verdicts)
    return state


def _heed(loops: Sequence[train.Loop], verdicts: Sequence[Verdict]) -> None:
    """Every lane's warnings, then the first lane's reason to stop, if there is one."""
    stops = []
    for loop, verdict in zip(loops, verdicts):
        try:
            loop.heed(verdict)
        except RunStopped as stopped:
            stops.append(f"{loop.workdir.name}: {stopped}")
    if stops:
        raise RunStopped(
            f"{stops[0]}; the other lanes stopped with it and go on with --lanes=1"
        )


def _evaluate(loops: Sequence[train.Loop], iteration: int, state) -> None:
    for i, loop in enumerate(loops):
        if loop.due(iteration):
            loop.evaluate(iteration, _lane(state.policy, i))


def _row(tree: dict[str, np.ndarray], i: int) -> dict[str, np.ndarray]:
    return {name: x[i] for name, x in tree.items()}


# One program each: leaf by leaf they would compile dozens of small ones.
@jax.jit
def _stack(trees):
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


@jax.jit
def _lane(tree, i):
    return jax.tree.map(lambda x: x[i], tree)
