"""Two proofs too long for the suite; their output stands in docs/hosts.md.

python -m tests.hosts.prove slots    16 environments of uneven speed, 4 slots
python -m tests.hosts.prove kills    100 workers killed at random in one play
"""

from __future__ import annotations

import os
import pathlib
import random
import signal
import sys
import tempfile
import time

import jax

from steppo_jax.engine import Engine
from steppo_jax.hosts.pool import Limits, Pool
from steppo_jax.models.heads import Policy
from steppo_jax.text import source
from steppo_jax.text.episodes import Job, PlaySettings, Tally, play
from steppo_jax.text.prompts import Prompter
from tests.hosts.fakes import Corridors
from tests.hosts.test_pool import until_gone
from tests.text import tiny

T, P, R = 5, 200, 64


def world(workers: int, slots: int, delay: float):
    """(engine, prompter, pool) of a tiny random model in corridors."""
    found = source.find(str(tiny.write(pathlib.Path(tempfile.mkdtemp()) / "tiny")))
    config, params = found.load()
    chat = found.chat()
    engine = Engine(Policy(config), params, chat.stop, slots=slots, longest=P + R)
    prompter = Prompter(chat, "Rules.", "rebuilt", None, P)
    return engine, prompter, Pool(Corridors(delay=delay), workers, Limits(60.0, 10.0))


def jobs(count: int) -> list[Job]:
    return [
        Job(i, i // 4, {"panel": "train", "task": i // 4 % 12}) for i in range(count)
    ]


def slots() -> None:
    """How long the engine's slots are in use while environments think."""
    engine, prompter, pool = world(workers=16, slots=4, delay=0.02)
    settings = PlaySettings(T, R, 1.0)
    play(engine, pool, prompter, jobs(16), jax.random.key(0), settings)  # compiles
    before, tally = engine.counts(), Tally()
    key = jax.random.key(1)
    found = play(engine, pool, prompter, jobs(192), key, settings, tally=tally)
    busy = engine.counts().minus(before).shares()["rollout/slots_busy"]
    pool.close()
    steps = sum(len(episode.turns) for episode in found)
    print(
        f"{steps} steps of 16 environments that take 20 to 80 ms each, 4 slots: "
        f"occupied {tally.occupied / tally.seconds:.3f} of {tally.seconds:.1f} s, "
        f"{busy:.3f} of all decoded places used"
    )


def kills(wanted: int = 100) -> None:
    """No group is short, counts are right, nothing stays."""
    engine, prompter, pool = world(workers=8, slots=4, delay=0.005)
    rng, killed, pids = random.Random(0), [], set()
    step = pool.step

    def robbed(place: int, action: str) -> None:
        living = pool.processes()
        pids.update(living.values())
        if len(killed) < wanted and rng.random() < 0.4:
            victim = living[rng.choice(sorted(living))]
            if victim not in killed:
                os.kill(victim, signal.SIGKILL)
                killed.append(victim)
        step(place, action)

    pool.step = robbed
    settings, tally = PlaySettings(T, 8, 1.0, tries=50), Tally()
    began = time.monotonic()
    found = play(
        engine, pool, prompter, jobs(200), jax.random.key(2), settings, tally=tally
    )
    groups: dict[int, int] = {}
    for episode in found:
        groups[episode.job.group_id] = groups.get(episode.job.group_id, 0) + 1
    calm = Pool(Corridors(), 8, Limits(60.0, 10.0))
    again = play(engine, calm, prompter, jobs(200), jax.random.key(2), settings)
    pool.close(), calm.close()
    same = [[t.token.tolist() for t in e.turns] for e in found] == [
        [t.token.tolist() for t in e.turns] for e in again
    ]
    left = [pid for pid in pids if not until_gone(pid)]
    print(
        f"{len(killed)} workers killed, {tally.restarts} restarted, {tally.lost} "
        f"episodes lost and played again, {len(found)} of 200 episodes and "
        f"{sum(n == 4 for n in groups.values())} of 50 groups whole, the same as "
        f"without a kill: {same}, {len(left)} processes left, "
        f"{time.monotonic() - began:.1f} s"
    )


if __name__ == "__main__":
    {"slots": slots, "kills": kills}[sys.argv[1]]()
