"""The engine's compiled programs: prefill into a slot, decode all slots."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax.engine.sampling import sample
from steppo_jax.models.decoder import Cache, empty_cache
from steppo_jax.models.heads import Policy


@struct.dataclass
class Slots:
    """What the device knows of S slots with room for C places each."""

    cache: Cache  # per layer k, v [S, G, C, K]
    logits: jax.Array  # [S, V] of the next token
    length: jax.Array  # [S] places filled
    count: jax.Array  # [S] tokens of the present response
    limit: jax.Array  # [S] most tokens of the present response
    active: jax.Array  # [S] bool, still speaking
    key: jax.Array  # [S] of the present request
    temperature: jax.Array  # [S]
    top_k: jax.Array  # [S]
    top_p: jax.Array  # [S]


def empty(policy: Policy, slots: int, capacity: int) -> Slots:
    """S slots that hold nothing."""

    def zeros():  # a buffer for each: they are donated one by one
        return jnp.zeros((slots,), jnp.int32)

    return Slots(
        cache=empty_cache(policy.config, slots, capacity),
        logits=jnp.zeros((slots, policy.config.vocabulary), jnp.float32),
        length=zeros(),
        count=zeros(),
        limit=zeros(),
        active=jnp.zeros((slots,), bool),
        key=jax.random.split(jax.random.key(0), slots),
        temperature=jnp.ones((slots,), jnp.float32),
        top_k=zeros(),
        top_p=jnp.ones((slots,), jnp.float32),
    )


def bytes_held(policy: Policy, slots: int, capacity: int) -> int:
    """Bytes of what `empty` makes; nothing is made."""
    shapes = jax.eval_shape(lambda: empty(policy, slots, capacity))
    return sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(shapes))


@functools.partial(jax.jit, static_argnums=0, donate_argnums=2)
def prefill(policy: Policy, params, slots: Slots, slot, token_L, real, start, request):
    """Reads `real` tokens of a padded prompt tail into a slot from place `start`.

    What padding writes lies beyond the slot's length: it is masked for every reader
    and overwritten by the tokens that come. One program per length of `token_L`.

    Args:
      request: (limit, key, temperature, top_k, top_p) of the response to come.
    """
    one = jax.tree.map(lambda x: x[slot][None], slots.cache)
    L, C = token_L.shape[0], slots.cache[0][0].shape[2]
    place_L = start + jnp.arange(L)
    mask_1LC = (jnp.arange(C)[None] <= place_L[:, None])[None]
    hidden_1LD, one = policy.apply(
        params,
        token_L[None],
        place_L[None],
        cache=one,
        place=start,
        mask_SLC=mask_1LC,
        method=Policy.hidden,
    )
    logits_V = policy.apply(params, hidden_1LD[0, real - 1], method=Policy.logits)
    limit, key, temperature, top_k, top_p = request
    return slots.replace(
        cache=jax.tree.map(lambda x, y: x.at[slot].set(y[0]), slots.cache, one),
        logits=slots.logits.at[slot].set(logits_V),
        length=slots.length.at[slot].set(start + real),
        count=slots.count.at[slot].set(0),
        limit=slots.limit.at[slot].set(limit),
        active=slots.active.at[slot].set(True),
        key=slots.key.at[slot].set(key),
        temperature=slots.temperature.at[slot].set(temperature),
        top_k=slots.top_k.at[slot].set(top_k),
        top_p=slots.top_p.at[slot].set(top_p),
    )


@functools.partial(jax.jit, static_argnums=(0, 4, 5), donate_argnums=2)
def decode(
    policy: Policy, params, slots: Slots, stop: jax.Array, steps: int, reach: int
):
    """`steps` tokens for every active slot; (slots, token, log_prob, said [n, S]).

    A slot stops at a token of `stop` or at its limit and then stands still. Its last
    token is not read into the cache: the next prefill does that where it is needed.

    Args:
      reach: places of the cache that are looked at, at least `steps` more than any
        active slot has filled. Less is faster; one program each.
    """
    place_C = jnp.arange(reach)

    def body(carry, _):
        slots, cache = carry
        key_S = jax.vmap(jax.random.fold_in)(slots.key, slots.count)
        token_S, log_prob_S = sample(
            slots.logits, key_S, slots.temperature, slots.top_k, slots.top_p
        )
        said_S = slots.active
        count_S = slots.count + said_S
        over_S = (token_S[:, None] == stop[None]).any(-1) | (count_S >= slots.limit)
        active_S = said_S & ~over_S
        # A silent slot rewrites the place after its last one, which nobody reads.
        mask_S1C = (place_C[None] <= slots.length[:, None])[:, None]
        hidden_S1D, cache = policy.apply(
            params,
            token_S[:, None],
            slots.length[:, None],
            cache=cache,
            place=slots.length,
            mask_SLC=mask_S1C,
            method=Policy.hidden,
        )
        logits_SV = policy.apply(params, hidden_S1D[:, 0], method=Policy.logits)
        slots = slots.replace(
            logits=jnp.where(active_S[:, None], logits_SV, slots.logits),
            length=slots.length + active_S,
            count=count_S,
            active=active_S,
        )
        return (slots, cache), (token_S, log_prob_S, said_S)

    whole, began = slots.cache, slots
    capacity = whole[0][0].shape[2]
    near = jax.tree.map(lambda x: x[:, :, :reach], whole)
    (slots, near), out = jax.lax.scan(
        body, (slots.replace(cache=()), near), None, steps
    )
    if reach == capacity:
        return slots.replace(cache=near), *out
    put = functools.partial(
        _put_back, place_S=began.length, active_S=began.active, steps=steps
    )
    return slots.replace(cache=jax.tree.map(put, whole, near)), *out


def _put_back(whole_SGCK, near_SGRK, place_S, active_S, steps: int) -> jax.Array:
    """The whole cache with the places that the active slots have written.

    A slot that was silent from the beginning may hold more than the near part of the
    cache: what it wrote there is dropped.
    """

    def one(whole_GCK, near_GRK, place, active):
        take = functools.partial(
            jax.lax.dynamic_slice_in_dim, start_index=place, slice_size=steps, axis=1
        )
        new_GnK = jnp.where(active, take(near_GRK), take(whole_GCK))
        return jax.lax.dynamic_update_slice_in_dim(whole_GCK, new_GnK, place, axis=1)

    return jax.vmap(one)(whole_SGCK, near_SGRK, place_S, active_S)


@functools.partial(jax.jit, donate_argnums=0)
def silence(slots: Slots, slot) -> Slots:
    """Ends the response of a slot."""
    return slots.replace(active=slots.active.at[slot].set(False))
