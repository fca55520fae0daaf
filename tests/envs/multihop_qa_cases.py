"""States of multihop_qa for tests."""

import jax

from steppo_jax.envs.multihop_qa import world


def hidden_variant(state, key):
    """The same to the eye: another answer would be right. Consumes key."""
    answer = jax.random.randint(key, (), 0, world.YEAR_0)
    return state.replace(task=state.task.replace(answer=answer))
