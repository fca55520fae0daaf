"""Responses of every environment: thought ; action <eos>.

A response is read from its end: what stands after the last ';' before the first
<eos> is the action, and what stands before that ';' is thought, free and without
effect. A response that was cut has no <eos> and means no action.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from steppo_jax.vocabulary import EOS, PAD, SEP, SPECIAL, Vocabulary


def length(action_length: int, think_tokens: int) -> int:
    """Places a response needs: a thought and its ';', the action with its <eos>."""
    return action_length + (think_tokens + 1 if think_tokens else 0)


def spoken(response: jax.Array, action_length: int) -> jax.Array:
    """[action_length] int32: the action and its <eos>, padded; longer ones are cut.

    Without <eos> in it, it is not an action.
    """
    places = jnp.arange(response.shape[0])
    ends = jnp.min(jnp.where(response == EOS, places, response.shape[0]))
    said = jnp.where(places <= ends, response, PAD)
    start = jnp.max(jnp.where(said == SEP, places + 1, 0))
    # Places beyond the response read as padding, never as another token.
    padded = jnp.concatenate([said, jnp.full(action_length, PAD, said.dtype)])
    return jax.lax.dynamic_slice(padded, (start,), (action_length,))


def say(
    action_tokens: jax.Array, key: jax.Array, think_tokens: int, thoughts: jax.Array
) -> jax.Array:
    """[length] tokens: 0 … think_tokens words of `thoughts`, ';', the action.

    Args:
      action_tokens: [action_length], ends with <eos>, padded.
      key: consumed.
      thoughts: [any] int32, ids of the words a thought may be made of.
    """
    if not think_tokens:
        return action_tokens
    count_key, word_key = jax.random.split(key)
    num_thoughts = jax.random.randint(count_key, (), 0, think_tokens + 1)
    places = jnp.arange(length(action_tokens.shape[0], think_tokens))
    thought = jax.random.choice(word_key, thoughts, places.shape)
    start = jnp.where(num_thoughts > 0, num_thoughts + 1, 0)
    blank = jnp.full(places.shape, PAD, jnp.int32)
    action = jax.lax.dynamic_update_slice(blank, action_tokens, (start,))
    before = jnp.where(places < num_thoughts, thought, SEP)
    return jnp.where(places < start, before, action)


def tokens_of(text: str, words: Vocabulary, response_length: int) -> jax.Array:
    """[response_length] tokens of a response written as text.

    Case and spacing do not matter. A policy that writes text must meet the same
    world as one that writes tokens, so text that cannot be said (unknown words,
    too long) raises nothing: it gives the empty response, which is malformed.
    """
    said = text.lower().replace(";", " ; ").split()
    fit = len(said) < response_length and all(
        word in words.id and (word == ";" or word not in SPECIAL) for word in said
    )
    response = " ".join([*(said if fit else []), "<eos>"])
    return jnp.asarray(words.encode(response, length=response_length))
