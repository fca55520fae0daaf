"""The words of the household, and responses: thought ; action <eos>.

A response is read from its end: what stands after the last ';' before the first
<eos> must be one action, word for word. What stands before that ';' is thought,
free and without effect. Anything else is malformed, a cut response too.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from steppo_jax.envs.household import rules
from steppo_jax.vocabulary import EOS, PAD, SEP, SPECIAL, Vocabulary

NO_WORD = "."  # stands in a slot of the observation that has nothing to say
THOUGHTS = ("think", "hmm", "now", "next")  # what the expert thinks
RESULTS = ("ok", "nothing", "unrecognised", NO_WORD)  # in the order of rules.OK …
_FRAME = ("goal", "in", "step", "at", "hold", "see", "last", "act", "room", "closed")


def _words(texts) -> list[str]:
    return [word for text in texts for word in text.split()]


WORDS = (
    NO_WORD,
    *_FRAME,
    *_words(rules.ACTIONS),
    *rules.ATTRIBUTES,
    *RESULTS,
    *THOUGHTS,
)


def step_word(num_steps: int) -> str:
    return f"s{num_steps}"


def vocabulary(max_steps: int) -> Vocabulary:
    """All words. Those of the steps come last, so `max_steps` moves no other id."""
    return Vocabulary.of([*WORDS, *map(step_word, range(max_steps + 1))])


ID = vocabulary(0).id
ACTION_LENGTH = max(len(text.split()) for text in rules.ACTIONS) + 1  # and <eos>
ACTION_TOKENS = np.stack(
    [
        vocabulary(0).encode(f"{text} <eos>", length=ACTION_LENGTH)
        for text in rules.ACTIONS
    ]
)


def response_length(think_tokens: int) -> int:
    """Places a response needs: a thought and its ';', the action, <eos>."""
    return ACTION_LENGTH + (think_tokens + 1 if think_tokens else 0)


def action_of(response: jax.Array) -> jax.Array:
    """[] int32, the action a response [L] means, or MALFORMED."""
    places = jnp.arange(response.shape[0])
    ends = jnp.min(jnp.where(response == EOS, places, response.shape[0]))
    said = jnp.where(places <= ends, response, PAD)
    start = jnp.max(jnp.where(said == SEP, places + 1, 0))
    # Places beyond the response read as padding, never as another token.
    padded = jnp.concatenate([said, jnp.full(ACTION_LENGTH, PAD, said.dtype)])
    spoken = jax.lax.dynamic_slice(padded, (start,), (ACTION_LENGTH,))
    match = jnp.all(jnp.asarray(ACTION_TOKENS) == spoken[None, :], axis=1)
    # Every action holds its <eos>, so none can match by its beginning alone.
    return jnp.where(jnp.any(match), jnp.argmax(match), rules.MALFORMED).astype(
        jnp.int32
    )


def say(action: jax.Array, key: jax.Array, think_tokens: int) -> jax.Array:
    """[response_length] tokens: 0 … think_tokens words of thought, ';', the action.

    Consumes key.
    """
    action_tokens = jnp.asarray(ACTION_TOKENS)[action]
    if not think_tokens:
        return action_tokens
    count_key, word_key = jax.random.split(key)
    num_thoughts = jax.random.randint(count_key, (), 0, think_tokens + 1)
    places = jnp.arange(response_length(think_tokens))
    thought_ids = jnp.asarray([ID[word] for word in THOUGHTS], jnp.int32)
    thought = jax.random.choice(word_key, thought_ids, places.shape)
    start = jnp.where(num_thoughts > 0, num_thoughts + 1, 0)
    blank = jnp.full(places.shape, PAD, jnp.int32)
    spoken = jax.lax.dynamic_update_slice(blank, action_tokens, (start,))
    before = jnp.where(places < num_thoughts, thought, SEP)
    return jnp.where(places < start, before, spoken)


def tokens_of(text: str, words: Vocabulary, think_tokens: int) -> jax.Array:
    """[response_length] tokens of a response written as text.

    Case and spacing do not matter. A policy that writes text must meet the same
    world as one that writes tokens, so text that cannot be said (unknown words,
    too long) raises nothing: it gives the empty response, which is malformed.
    """
    length = response_length(think_tokens)
    said = text.lower().replace(";", " ; ").split()
    fit = len(said) < length and all(
        word in words.id and (word == ";" or word not in SPECIAL) for word in said
    )
    response = " ".join([*(said if fit else []), "<eos>"])
    return jnp.asarray(words.encode(response, length=length))
