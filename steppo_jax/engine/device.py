"""The engine's programs: prefill into slots, decode all slots.

`prefill`, `decode` and `silence` are compiled for one device, `engine.spread` compiles
the same bodies for the devices of a mesh.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import struct

from steppo_jax.engine.sampling import sample
from steppo_jax.models.decoder import Cache, empty_cache
from steppo_jax.models.heads import Policy
from steppo_jax.placement import CACHE, ROWS, by_piece

STEPS = 8  # tokens decoded between two looks at the queue


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


PLACES = Slots(cache=CACHE, **{f: ROWS for f in Slots.__annotations__ if f != "cache"})


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


def read(
    policy: Policy, params, slots: Slots, slot_P, token_PL, real_P, start_P, asked
):
    """Reads a padded prompt tail into one slot of each of P pieces of the devices.

    Of each tail `real` tokens count, from place `start` on. What padding writes lies
    beyond the slot's length: it is masked for every reader and overwritten by the
    tokens that come. One program per length of `token_PL`.

    Args:
      slot_P: counted inside the piece; one beyond its last where nothing is read.
      asked: (limit_P, P keys, temperature_P, top_k_P, top_p_P) of the responses to
        come.
    """
    (P, L), C = token_PL.shape, slots.cache[0][0].shape[2]
    one = by_piece(_taken, (CACHE, ROWS), CACHE)(slots.cache, slot_P)
    place_PL = start_P[:, None] + jnp.arange(L)[None]
    mask_PLC = jnp.arange(C)[None, None] <= place_PL[:, :, None]
    hidden_PLD, one = policy.apply(
        params,
        token_PL,
        place_PL,
        cache=one,
        place=start_P[0] if P == 1 else start_P,
        mask_SLC=mask_PLC,
        method=Policy.hidden,
    )
    last_PD = by_piece(_last, (ROWS, ROWS), ROWS)(hidden_PLD, real_P)
    logits_PV = policy.apply(params, last_PD, method=Policy.logits)
    limit_P, keys, temperature_P, top_k_P, top_p_P = asked
    new = Slots(
        cache=one,
        logits=logits_PV,
        length=start_P + real_P,
        count=jnp.zeros_like(limit_P),
        limit=limit_P,
        active=jnp.ones((P,), bool),
        key=jnp.stack(keys),
        temperature=temperature_P,
        top_k=top_k_P,
        top_p=top_p_P,
    )
    return by_piece(_put, (PLACES, ROWS, PLACES), PLACES)(slots, slot_P, new)


def _taken(cache: Cache, slot_1: jax.Array) -> Cache:
    return jax.tree.map(lambda x: x[slot_1[0]][None], cache)


def _last(hidden_1LD: jax.Array, real_1: jax.Array) -> jax.Array:
    return hidden_1LD[0, real_1[0] - 1][None]


def _put(slots: Slots, slot_1: jax.Array, new: Slots) -> Slots:
    def one(x, y):
        return x.at[slot_1[0]].set(y[0], mode="drop")

    return jax.tree.map(one, slots, new)


def speak(
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
        token_S, log_prob_S = by_piece(sample, (ROWS,) * 5, (ROWS, ROWS))(
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
    put = by_piece(
        functools.partial(_put_back, steps=steps), (CACHE, CACHE, ROWS, ROWS), CACHE
    )
    cache = jax.tree.map(
        lambda x, y: put(x, y, began.length, began.active), whole, near
    )
    return slots.replace(cache=cache), *out


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


def hush(slots: Slots, slot: jax.Array) -> Slots:
    """Ends the response of a slot."""
    return slots.replace(active=slots.active.at[slot].set(False))


# The same on one device.
prefill = jax.jit(read, static_argnums=0, donate_argnums=2)
decode = jax.jit(speak, static_argnums=(0, 4, 5), donate_argnums=2)
silence = jax.jit(hush, donate_argnums=0)
