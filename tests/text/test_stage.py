"""Episodes on workers: the same as one after the other, whatever is lost on the way."""

import os
import random
import signal
import time

import jax
import numpy as np
import pytest

from steppo_jax.engine import Engine, Request, Sampling
from steppo_jax.hosts.pool import Limits, Pool
from steppo_jax.models.heads import Policy
from steppo_jax.text import source
from steppo_jax.text.environment import OnDevice
from steppo_jax.text.episodes import (
    EpisodesLost,
    Job,
    PlaySettings,
    Tally,
    drive,
    play,
)
from steppo_jax.text.evaluator import jobs_of
from steppo_jax.text.prompts import Prompter
from steppo_jax.text.stage import Inline
from steppo_jax.text.voices import ExpertVoice, NoExpert, Said
from tests.hosts.fakes import Corridor, Corridors
from tests.hosts.test_pool import until_gone
from tests.text.tiny import ENV

KEY, T, P, R = jax.random.key(5), 3, 800, 6
SETTINGS = PlaySettings(max_steps=T, max_new=R, temperature=1.0, tries=3)
LIMITS = Limits(reset=20.0, step=5.0)


class Lines:
    """Says what `lines` gives for (job, step, try); takes `slots` at once."""

    def __init__(self, lines, slots=2):
        self.lines, self.slots, self.due, self.tries = lines, slots, [], {}

    @property
    def busy(self):
        return min(len(self.due) / self.slots, 1.0)

    def ask(self, i, t, prompt, info):
        self.tries[i] = self.tries.get(i, 0) + (t == 0)
        self.due.append((i, t))

    def hear(self):
        now, self.due = self.due[: self.slots], self.due[self.slots :]
        return [(i, self.said(self.lines(i, t, self.tries[i]))) for i, t in now]

    def said(self, text):
        return Said(text, np.zeros(1, np.int32), np.zeros(1), np.zeros(1, np.int32))

    def forget(self, i):
        self.due = [(j, t) for j, t in self.due if j != i]

    def silence(self):
        self.due = []


def jobs(count):
    return [Job(i, i // 2, {"panel": "train", "task": i // 2}) for i in range(count)]


@pytest.fixture
def prompter(chat):
    return Prompter(chat, "Rules.", "rebuilt", None, P)


def texts(episodes):
    return [[(t.observation, t.response, t.reward) for t in e.turns] for e in episodes]


def test_as_if_every_episode_was_played_alone(folder, chat):
    """A plain loop over trajectories and steps gives the same tokens."""
    config, params = source.find(str(folder)).load()
    prompter = Prompter(chat, ENV.instructions, "rebuilt", None, P)
    tasks = jax.tree.map(lambda x: np.asarray(x)[:3], ENV.panel("train"))
    wanted = jobs_of(tasks, range(3), range(3), KEY, T)
    engine = Engine(Policy(config), params, chat.stop, slots=2, longest=P + R)
    stage = Inline(lambda: OnDevice(ENV))
    played = play(engine, stage, prompter, wanted, KEY, SETTINGS)
    for n, job in enumerate(wanted):
        env = OnDevice(ENV)
        seen, _ = env.reset(options=job.options)
        alone = []
        for t in range(T):
            key = jax.random.fold_in(jax.random.fold_in(KEY, n), t)
            prompt = tuple(prompter.first(seen))
            (said,) = engine.run([Request(prompt, key, R, Sampling())])
            alone.append((seen, said.token.tolist()))
            seen, _, over, _, _ = env.step(chat.decode(said.token))
            if over:
                break
        found = [(x.observation, x.token.tolist()) for x in played[n].turns]
        assert found == alone


def test_workers_play_as_this_process_does(prompter):
    def line(i, t, tries):
        return ("on", "stand", "on")[(i + t) % 3]

    alone = drive(Lines(line), Inline(lambda: Corridor(0)), prompter, jobs(9), SETTINGS)
    pool, tally = Pool(Corridors(), 4, LIMITS), Tally()
    apart = drive(Lines(line), pool, prompter, jobs(9), SETTINGS, tally=tally)
    pool.close()
    assert texts(apart) == texts(alone) and tally.lost == 0
    assert [e.outcome for e in apart] == [e.outcome for e in alone]
    assert {e.turns[-1].terminated for e in alone} == {True, False}


def test_a_lost_episode_is_played_again_with_nothing_made_up(prompter):
    def line(i, t, tries):
        return "die" if i in (1, 4) and t == 1 and tries < 3 else "stand"

    pool, tally = Pool(Corridors(), 3, LIMITS), Tally()
    found = drive(Lines(line), pool, prompter, jobs(6), SETTINGS, tally=tally)
    pool.close()
    assert tally.lost == 4 == pool.restarts
    assert tally.causes == {"the worker died": 4}
    said = [[turn.response for turn in e.turns] for e in found]
    assert said == [["stand"] * 3] * 6, "no group is short of an episode or a step"


def test_too_many_losses_stop_the_run(prompter):
    def line(i, t, tries):
        return "fail" if i == 2 else "on"

    pool = Pool(Corridors(), 2, LIMITS)
    with pytest.raises(EpisodesLost, match=r"trajectory 2 was lost 3 times.*two lines"):
        drive(Lines(line), pool, prompter, jobs(4), SETTINGS)
    # What was under way is dropped: another play starts from nothing.
    again = drive(Lines(lambda *_: "on"), pool, prompter, jobs(4), SETTINGS)
    pool.close()
    assert [len(e.turns) for e in again] == [1, 1, 2, 2]


def test_random_kills_lose_no_group(prompter):
    """A worker is killed at random moments; counts are right and nothing stays."""
    rng, killed, pids = random.Random(0), [], set()
    pool = Pool(Corridors(delay=0.002), 4, LIMITS)

    def line(i, t, tries):
        living = pool.processes()
        pids.update(living.values())
        if len(killed) < 10 and rng.random() < 0.5:
            pid = living[rng.choice(sorted(living))]
            if pid not in killed:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        return "stand"

    patient = PlaySettings(max_steps=T, max_new=R, temperature=1.0, tries=20)
    tally = Tally()
    found = drive(Lines(line), pool, prompter, jobs(24), patient, tally=tally)
    assert [e.job.traj_id for e in found] == list(range(24))
    assert [len(e.turns) for e in found] == [3] * 24
    assert len(killed) == 10
    assert tally.lost <= pool.restarts <= 10 and tally.lost > 0
    pool.close()
    assert all(until_gone(pid) for pid in pids)


def test_one_slow_episode_holds_nobody_up(prompter):
    """While a slow environment thinks, the others play all of their steps."""
    order = []

    class Slow(Lines):
        def ask(self, i, t, prompt, info):
            order.append(i)
            super().ask(i, t, prompt, info)

    def line(i, t, tries):
        return "hang" if i == 0 and tries == 1 else "stand"

    pool = Pool(Corridors(), 2, Limits(reset=20.0, step=0.7))
    began = time.monotonic()
    found = drive(Slow(line), pool, prompter, jobs(5), SETTINGS)
    pool.close()
    assert order[-1] == 0 and len(found) == 5
    assert time.monotonic() - began < 10


def test_the_experts_words_are_said(prompter, chat):
    stage = Inline(lambda: Corridor(0))
    found = drive(ExpertVoice(chat), stage, prompter, jobs(6), SETTINGS)
    assert [len(e.turns) for e in found] == [1, 1, 2, 2, 3, 3]
    turn = found[0].turns[0]
    assert turn.response == "on" and turn.token[-1] == chat.stop[0]
    assert chat.decode(turn.token[:-1]) == "on"


def test_without_an_expert_it_says_so(chat, prompter):
    with pytest.raises(NoExpert, match="no expert's words at step 0"):
        ExpertVoice(chat).ask(0, 0, [1], {})
