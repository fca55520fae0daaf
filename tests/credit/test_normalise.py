"""Every kind of normalisation at both levels, by hand."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest
from numpy.testing import assert_allclose

from steppo_jax import credit
from tests.oracles.ragged import episodes, lay

# Rows 0-2 of 4: steps with 1, 3 and 0 tokens; groups 5, 5, 6. Row 3 is padding.
DATA = episodes([[1], [3], [0]], 0)
for episode, group in zip(DATA, (5, 5, 6)):
    episode.group = group
BATCH = lay(DATA, "rows", 0, num_rows=4, num_sequences=3, length=4, shuffle=False).batch
X_B = jnp.array([1.0, 5.0, 9.0, jnp.nan])
X_SL = jnp.where(BATCH.response_mask, BATCH.to_tokens(X_B), jnp.nan)


def tokens(x_SL):
    return sorted(np.asarray(x_SL)[np.asarray(BATCH.response_mask)].tolist())


def test_none_changes_nothing():
    assert credit.normalise("none", X_B, BATCH) is X_B


def test_batch_counts_valid_steps_once():
    # mean 5, var (16 + 0 + 16)/3; with ddof 1: 16
    z = credit.normalise("batch", X_B, BATCH)
    assert_allclose(z, [-(1.5**0.5), 0, 1.5**0.5, 0], atol=1e-6)
    z = credit.normalise("batch", X_B, BATCH, official=True)
    assert_allclose(z, [-1, 0, 1, 0], atol=1e-6)


def test_token_batch_weighs_steps_by_their_tokens():
    # x = 1, 5, 5, 5: mean 4, var (9 + 3)/4 = 3; with ddof 1: 4
    z = credit.normalise("token_batch", X_B, BATCH)
    assert_allclose(z, np.array([-3, 1, 0, 0]) / 3**0.5, atol=1e-6)
    z = credit.normalise("token_batch", X_B, BATCH, official=True)
    assert_allclose(z, [-1.5, 0.5, 0, 0], atol=1e-6)


@pytest.mark.parametrize("official", [False, True])
def test_token_batch_is_the_same_at_both_levels(official):
    step = credit.normalise("token_batch", X_B, BATCH, official=official)
    token = credit.normalise("token_batch", X_SL, BATCH, official=official)
    assert_allclose(tokens(token), tokens(BATCH.to_tokens(step)), atol=1e-6)


def test_batch_at_token_level_counts_steps_not_tokens():
    # The steps with tokens have 1 and 5: mean 3, std 2, though three tokens have 5.
    assert_allclose(tokens(credit.normalise("batch", X_SL, BATCH)), [-1, 1, 1, 1])


def test_group_compares_with_the_steps_of_the_task():
    # Group 5: 1 and 5, mean 3, std 2. Group 6 has one step: 0.
    assert_allclose(credit.normalise("group", X_B, BATCH), [-1, 1, 0, 0], atol=1e-6)
    assert_allclose(tokens(credit.normalise("group", X_SL, BATCH)), [-1, 1, 1, 1])


@pytest.mark.parametrize("kind", ["batch", "token_batch", "group"])
@pytest.mark.parametrize("official", [False, True])
def test_equal_advantages_and_single_ones_give_exactly_zero(kind, official):
    same = jnp.full(4, 0.1)
    by_a_bit = same.at[1].set(jnp.nextafter(same[1], 1.0))  # equal but for rounding
    for x in (same, by_a_bit):
        for table in (x, jnp.where(BATCH.response_mask, BATCH.to_tokens(x), jnp.nan)):
            z = credit.normalise(kind, table, BATCH, official=official)
            assert np.all(np.asarray(z) == 0)
    nothing = dataclasses.replace(BATCH, step_id=jnp.full_like(BATCH.step_id, -1))
    z = credit.normalise(kind, X_SL, nothing, official=official)
    assert np.all(np.asarray(z) == 0)


def test_unknown_kind_lists_the_known():
    with pytest.raises(ValueError, match="'whiten' is unknown; known: none, batch"):
        credit.normalise("whiten", X_B, BATCH)
