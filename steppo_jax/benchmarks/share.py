"""What every estimator of credit takes of an iteration of a training run.

The tables are those of a rollout of that run, and its iteration (rollout and update)
is timed in turns with the estimators.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from steppo_jax import credit, programs
from steppo_jax.benchmarks.credit import VALUES, names
from steppo_jax.benchmarks.timing import alternate
from steppo_jax.credit import CreditSettings
from steppo_jax.learner import learned
from steppo_jax.parallel import ONE
from steppo_jax.structs import Learned

LIMIT = 0.01  # of an iteration


def run(config: ConfigDict, repeats: int) -> list[dict[str, Any]]:
    """One row per estimator, and one for the iteration of `config` on one device."""
    p = programs.build(config)
    state = p.init(jax.random.key(0))
    played = p.collect(state)
    steps, tokens = played.steps, played.tokens
    wide_SL = jnp.sin(tokens.position + tokens.token.astype(jnp.float32))
    table = Learned(
        old_log_prob=wide_SL,
        value=wide_SL[: steps.num_rows, 0],
        next_value=jnp.zeros((steps.num_rows,)),
        token_value=wide_SL,
        token_reward=learned.token_reward(steps, tokens),
    )

    def iteration():
        mine = jax.tree.map(jnp.copy, state)  # the update consumes it
        rolled = p.collect(mine)
        return p.update(mine, rolled.steps, rolled.tokens)

    def call(name: str):
        entry = credit.get(name)
        how = CreditSettings(**{k: VALUES[k] for k in entry.options if k in VALUES})

        @jax.jit
        def assign(steps, tokens, table):
            given = learned.assign_credit(
                ONE, steps, tokens, table, entry, how, entry.normalise
            )
            return given[:2]

        return lambda: assign(steps, tokens, table)

    took = alternate({"iteration": iteration} | {n: call(n) for n in names()}, repeats)
    whole = took["iteration"]
    return [
        {
            "call": name,
            "seconds": own.seconds,
            "spread": own.spread,
            "cpu_seconds": own.cpu_seconds,
            "share": own.seconds / whole.seconds,
            "limit": None if name == "iteration" else LIMIT,
        }
        for name, own in took.items()
    ]
