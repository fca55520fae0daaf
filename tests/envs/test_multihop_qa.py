"""multihop_qa by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax import envs
from steppo_jax.envs.multihop_qa import language, rules

ENV = envs.make("multihop_qa")
STEP = jax.jit(ENV.step)
FILM = 0
DIRECTOR = int(rules.TAIL[FILM, 0])
CITY = int(rules.TAIL[DIRECTOR, 3])
NAME = language.ENTITY_NAMES


def start():
    task = rules.Task(
        jnp.int32(2), jnp.array([FILM, -1]), jnp.array([0, 3, -1, -1]), jnp.int32(CITY)
    )
    return ENV.reset(jax.random.key(0), task)[0]


def triples(state):
    return [
        tuple(rules.FACTS[i].tolist()) for i in np.asarray(state.passages) if i >= 0
    ]


def test_a_bridge_question():
    state = start()
    assert triples(state)[0] == (FILM, 0, DIRECTOR)  # from the forced search
    assert (DIRECTOR, 3, CITY) not in triples(state)
    state, _, reward, over = STEP(state, ENV.parse(f"search {NAME[DIRECTOR]} born_in"))
    assert triples(state)[0] == (DIRECTOR, 3, CITY)
    assert not over and reward == 0
    state, _, reward, over = STEP(state, ENV.parse(f"hmm ; answer {NAME[CITY]}"))
    assert over and reward == 1 and ENV.outcome(state)["success"] == 1


def test_a_wrong_answer_and_a_malformed_response_end_with_nothing():
    for text, answered in ((f"answer {NAME[FILM]}", 1), ("search born_in", 0)):
        state, _, reward, over = STEP(start(), ENV.parse(text))
        assert over and reward == 0
        assert ENV.outcome(state)["answered"] == answered


def test_ranking_and_no_passage_twice():
    state = start()
    before = triples(state)
    text = f"search {NAME[FILM]} directed_by {NAME[FILM]} released"
    state = STEP(state, ENV.parse(text))[0]
    after = triples(state)
    assert after[0] == (FILM, 0, DIRECTOR)  # title and relation before title alone
    assert (FILM, 2, int(rules.TAIL[FILM, 2])) in after
    assert len(after) == len(set(after)) and set(before) <= set(after)
