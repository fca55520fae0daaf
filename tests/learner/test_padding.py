"""What `configs/household.py`'s word `packed` leaves empty."""

import jax
import numpy as np

from configs import household
from steppo_jax import draws, packing, programs
from steppo_jax.benchmarks import layouts
from steppo_jax.learner import minibatches


def test_the_default_run_is_packed_with_little_padding():
    config = household.get_config("steppo,packed")
    p = programs.build(config)
    s, steps = p.learner.settings, config.env.max_steps
    played = layouts._play(p)
    length_S = packing.lengths(played.tokens)
    said_S = np.asarray(played.tokens.response_mask.any(1))
    key = draws.of_iteration(jax.random.key(config.seed), "deal", 0)
    of_N = minibatches.assign(key, 0, s.trajectories, s.minibatches)
    of_S = np.repeat(np.asarray(of_N), steps)
    used = places = 0
    for each in range(s.minibatches):
        mine = said_S & (of_S == each)
        packed = packing.pack(
            jax.numpy.where(mine, length_S, 0), played.tokens.token.shape[1], s.width
        )
        used, places = used + int(packed.used), places + int(packed.places)
    assert used == int(length_S[said_S].sum()) > 10_000
    assert 1 - used / places <= layouts.MOST_PADDING
