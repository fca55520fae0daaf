"""States of the paper search for tests, and a slow search for the fewest steps."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.paper_search import golden, graph, rules


def hidden_variant(state, key):
    """The same to the eye: papers below the shown ones are others. Consumes key.

    Only what ranks below a full list can be changed unseen.
    """
    sight = rules.shown(state)
    shown = jnp.zeros(state.paper.size, bool).at[sight.place].set(True)
    others = jax.random.randint(key, state.paper.shape, 0, graph.NUM_PAPERS)
    unseen = ~shown.reshape(state.paper.shape) & (state.paper < graph.NO_PAPER)
    return state.replace(
        # A higher number never comes before a lower one, so what is shown stays.
        paper=jnp.where(unseen, jnp.maximum(others, state.paper), state.paper)
    )


def all_calls():
    """[calls, 10] int: what every search and every expansion there is gives."""
    topics = range(graph.NUM_TOPICS)
    words = [w for n in (1, 2, 3) for w in itertools.combinations(topics, n)]
    padded = np.array([(*w, *(graph.NO_TOPIC,) * (3 - len(w))) for w in words])
    best = jax.jit(jax.vmap(lambda w: graph.best(graph.INDEX, w, graph.NUM_RESULTS)))
    blank = np.full((graph.NUM_PAPERS, 2), graph.NO_PAPER)
    return np.concatenate(
        [np.asarray(best(padded)), np.concatenate([graph.CITED, blank], axis=1)]
    )


def can_find(gains, needed, number):
    """Whether `number` rows of gains [calls, answers] bool have `needed` in union.

    Tries all of them, best first; no row adds more to a union than it adds now.
    """
    if needed <= 0:
        return True
    if number == 0 or not len(gains):
        return False
    size = gains.sum(axis=1)
    order = np.argsort(-size, kind="stable")
    gains, size = gains[order], size[order]
    for i in range(len(gains)):
        if size[i : i + number].sum() < needed:
            return False
        rest = np.unique(gains[i + 1 :] & ~gains[i], axis=0)
        if can_find(rest, needed - size[i], number - 1):
            return True
    return False


def fewest_calls(calls, wanted, needed):
    """The fewest of `calls` [calls, 10] that give `needed` of the papers `wanted`."""
    gains = (calls[:, :, None] == np.asarray(wanted)).any(axis=1)
    gains = np.unique(gains[gains.any(axis=1)], axis=0)
    return next(n for n in range(1, 9) if can_find(gains, needed, n))


@jax.jit
def can_succeed(tasks):
    """[tasks, 3] bool: whether any first one, two, three actions succeed in play.

    All sequences of the searches `golden` tries and of expansions are played.
    """
    num_searches = len(golden.SEARCHES)
    numbers = range(num_searches + rules.NUM_SHOWN)
    scripts = np.array(list(itertools.product(numbers, repeat=3)), np.int32)

    def play(task, script):
        words = jnp.append(task.topics, graph.NO_TOPIC)[golden.SEARCHES]
        nothing = jnp.full((rules.NUM_SHOWN, 3), graph.NO_TOPIC)
        words = jnp.concatenate([words, nothing])

        def body(state, number):
            kind = jnp.where(number < num_searches, rules.SEARCH, rules.EXPAND)
            slot = jnp.maximum(number - num_searches, 0)
            state, _ = rules.apply(state, rules.Action(kind, words[number], slot))
            return state, rules.outcome(state)["success"] > 0

        return jax.lax.scan(body, rules.initial_state(task, 3), script)[1]

    every = jax.vmap(jax.vmap(play, in_axes=(None, 0)), in_axes=(0, None))
    return jnp.any(every(tasks, jnp.asarray(scripts)), axis=1)
