"""What the objective refuses, and in which words."""

import jax.numpy as jnp
import numpy as np
import pytest

from steppo_jax import objective

TABLE = np.zeros((1, 2))
BASE = dict(clip_low=0.2, clip_high=0.2)


@pytest.mark.parametrize(
    ("ratio", "options", "message"),
    [
        ("tokens", {}, "ratio='tokens' is unknown; known: token, step"),
        ("token", dict(aggregate="mean"), "aggregate='mean' is unknown"),
        ("token", dict(aggregate="constant", traj_id_B=[0]), "needs the number"),
        ("token", dict(constant=3.0), "no other aggregate uses it"),
        ("token", dict(aggregate="trajectory"), "need traj_id_B"),
        ("trajectory", {}, "need traj_id_B"),
        ("token", dict(aggregate="group", traj_id_B=[0]), "needs group_id_B"),
        ("token", dict(dual_clip=0.5), "dual_clip=0.5 must be greater than 1"),
        ("token", dict(kl="k3"), "go together"),
        ("token", dict(kl="k9", kl_coef=0.1), "kl='k9' is unknown"),
        ("token", dict(kl="k3", kl_coef=0.1), "ref_log_prob_SL"),
    ],
)
def test_rows_refuse_by_name(ratio, options, message):
    with pytest.raises(ValueError, match=message):
        objective.from_rows(ratio, TABLE, TABLE, TABLE, TABLE + 1, **BASE, **options)


def test_rows_refuse_unknown_options_by_name():
    with pytest.raises(TypeError, match="clip_ratio"):
        objective.from_rows(
            "token", TABLE, TABLE, TABLE, TABLE + 1, **BASE, clip_ratio=1
        )


@pytest.mark.parametrize("ratio", objective.COUPLED)
def test_a_coupled_ratio_needs_its_first_pass(ratio):
    x = jnp.zeros((1, 2))
    with pytest.raises(ValueError, match="pass ratio_sums"):
        objective.policy_loss(
            x,
            x,
            x,
            jnp.zeros((1, 2), int),
            x,
            x,
            objective.ObjectiveSettings(ratio, 0.2, 0.2),
            1,
        )
