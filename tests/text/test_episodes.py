"""Played text episodes: independent of slots and order, exact in the tables."""

import jax
import numpy as np
import pytest

from steppo_jax.actor.rollout import Rollout
from steppo_jax.engine import Engine
from steppo_jax.learner import forward
from steppo_jax.models.heads import Policy
from steppo_jax.text import source, tables
from steppo_jax.text.environment import OnDevice
from steppo_jax.text.episodes import PlaySettings, play
from steppo_jax.text.evaluator import jobs_of
from steppo_jax.text.prompts import Prompter
from steppo_jax.text.stage import Inline
from tests.text.tiny import ENV

KEY, T, P, R = jax.random.key(5), 3, 800, 6
SETTINGS = PlaySettings(max_steps=T, max_new=R, temperature=1.0)


class Loud(OnDevice):
    """Pays for the length of what is said, so that rewards tell episodes apart."""

    def step(self, action):
        observation, _, over, cut, info = super().step(action)
        return observation, float(len(action)), over, cut, info


@pytest.fixture(scope="module")
def model(folder):
    return source.find(str(folder)).load()


def played(model, chat, slots=3, ids=range(4), policy="rebuilt", **options):
    config, params = model
    engine = Engine(
        Policy(config), params, chat.stop, slots=slots, longest=P + R, **options
    )
    engine.refresh(params, 7)
    tasks = jax.tree.map(lambda x: np.asarray(x)[list(ids)], ENV.panel("train"))
    jobs = jobs_of(tasks, ids, [i // 2 for i in ids], KEY, T)
    prompter = Prompter(chat, ENV.instructions, policy, None, P)
    return play(engine, Inline(lambda: Loud(ENV)), prompter, jobs, KEY, SETTINGS)


def said(episodes):
    return {e.job.traj_id: [t.token.tolist() for t in e.turns] for e in episodes}


def test_neither_slots_nor_order_nor_company_change_an_episode(model, chat):
    first = said(played(model, chat))
    assert len({str(x) for x in first.values()}) == 4
    assert said(played(model, chat, slots=1, ids=[3, 1])) == {
        i: first[i] for i in (3, 1)
    }
    assert said(played(model, chat, slots=8, steps=2, buckets=(64,))) == first


@pytest.mark.parametrize("policy", ["rebuilt", "append"])
def test_tables_hold_what_was_read_and_said(model, chat, policy):
    episodes = played(model, chat, policy=policy)
    rolled = tables.of_episodes(episodes, T, P, R, bootstrap=False)
    steps, tokens = jax.tree.map(np.asarray, (rolled.steps, rolled.tokens))
    for n, episode in enumerate(episodes):
        for t, turn in enumerate(episode.turns):
            b = n * T + t
            where = tokens.step_id[b] == b
            assert tokens.token[b][where].tolist() == turn.token.tolist()
            fed = (tokens.segment[b] > 0) & ~where
            assert tokens.token[b][fed].tolist() == turn.prompt
            assert np.array_equal(tokens.behaviour_log_prob[b][where], turn.log_prob)
            assert (tokens.policy_version[b][where] == 7).all()
            assert tokens.value_at[b].tolist() == [b, len(turn.prompt) - 1]
            assert steps.reward[b] == turn.reward == len(turn.response)
            assert steps.valid[b] and steps.traj_id[b] == n
            assert steps.step_index[b] == t and steps.group_id[b] == n // 2
            assert steps.terminated[b] == turn.terminated
            assert steps.truncated[b] == (t == T - 1 and not turn.terminated)
            if policy == "append" and t:
                before = episode.turns[t - 1]
                past = before.prompt + before.token.tolist()
                assert turn.prompt[: len(past)] == past
        assert (steps.valid.reshape(-1, T)[n].sum()) == len(episode.turns)
    assert rolled.outcome["steps"].tolist() == [len(e.turns) for e in episodes]
    assert rolled.outcome["return"][0] == sum(t.reward for t in episodes[0].turns)
    assert isinstance(rolled, Rollout) and set(rolled.outcome) >= {"success", "tokens"}


def test_sampler_and_learner_agree(model, chat):
    config, params = model
    rolled = tables.of_episodes(played(model, chat), T, P, R, bootstrap=False)
    found, _ = forward.policy_tables(Policy(config), params, rolled.tokens, 1.0, 2)
    mask = rolled.tokens.response_mask
    gap = np.abs(np.where(mask, found - rolled.tokens.behaviour_log_prob, 0))
    assert gap.max() < 1e-4 and mask.sum() > 20


def test_states_beyond_a_limit_keep_their_prompts(model, chat):
    episodes = played(model, chat)
    rolled = tables.of_episodes(episodes, T, P, R, bootstrap=True)
    tokens = rolled.tokens
    cut = [n for n, e in enumerate(episodes) if e.turns[-1].truncated]
    assert cut
    for n in cut:
        row = n * T + len(episodes[n].turns) - 1
        sequence, place = np.asarray(tokens.next_value_at[row])
        assert sequence == len(episodes) * T + n
        wanted = episodes[n].next_prompt
        assert tokens.token[sequence, : place + 1].tolist() == wanted
        assert not np.asarray(tokens.response_mask[sequence]).any()


def test_a_prompt_may_end_with_the_token_of_number_0(model, chat):
    """Id 0 is a word here; nothing may take it for padding."""
    episodes = played(model, chat, ids=[0])
    episodes[0].turns[0].prompt[-1] = 0
    rolled = tables.of_episodes(episodes, T, P, R, bootstrap=False)
    length = len(episodes[0].turns[0].prompt)
    assert rolled.tokens.value_at[0].tolist() == [0, length - 1]
    assert int((rolled.tokens.segment[0] > 0).sum()) == length + len(
        episodes[0].turns[0].token
    )
