"""Policy and critic: a decoder with a head, and what is read off them."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from steppo_jax import masked
from steppo_jax.models import linear
from steppo_jax.models.decoder import Cache, Decoder, DecoderConfig


class Policy(nn.Module):
    """A decoder with logits over the vocabulary."""

    config: DecoderConfig

    def setup(self):
        self.decoder = Decoder(self.config)
        if self.config.tie_embeddings:
            return
        if self.config.turned:
            words = (self.config.vocabulary,)
            self.head = linear.Turned(words, sums=masked.real(), **self.config.dtypes)
        else:
            summed = functools.partial(
                jax.lax.dot_general, preferred_element_type=masked.real()
            )
            self.head = nn.Dense(
                self.config.vocabulary,
                use_bias=False,
                dot_general=summed,
                **self.config.dtypes,
            )

    def __call__(self, *args, **kwargs) -> tuple[jax.Array, Cache]:
        """Logits [S, L, V] float32 and the cache; arguments as `Decoder`."""
        x_SLD, cache = self.decoder(*args, **kwargs)
        return self.logits(x_SLD), cache

    def hidden(self, *args, **kwargs) -> tuple[jax.Array, Cache]:
        """Hidden states [S, L, D], for callers that need logits at few places."""
        return self.decoder(*args, **kwargs)

    def logits(self, x_SLD: jax.Array) -> jax.Array:
        """Logits float32 of hidden states [..., D]."""
        tied = self.config.tie_embeddings
        logits = self.decoder.unembed(x_SLD) if tied else self.head(x_SLD)
        return logits.astype(masked.real())


class Critic(nn.Module):
    """A decoder with one number per place: the value of the text so far.

    The value is `scale` times what the network says, so that returns of that size
    ask for outputs of size one.
    """

    config: DecoderConfig
    scale: float = 1.0

    @nn.compact
    def __call__(self, *args, **kwargs) -> jax.Array:
        """Values [S, L] float32; arguments as `Decoder`."""
        x_SLD, _ = Decoder(self.config, name="decoder")(*args, **kwargs)
        return self.scale * _value(x_SLD)


class ValueHead(nn.Module):
    """A critic without a network of its own: it reads the policy's hidden states."""

    scale: float = 1.0  # as a `Critic` has

    @nn.compact
    def __call__(self, x_SLD: jax.Array) -> jax.Array:
        """Values [S, L] float32 of hidden states [S, L, D]."""
        return self.scale * _value(x_SLD)


def _value(x_SLD: jax.Array) -> jax.Array:
    """One number per place, by a layer `head` of the module that calls this."""
    # Near zero at first: the random values of a fresh head do damage.
    init = nn.initializers.normal(0.01)
    head = nn.Dense(1, kernel_init=init, name="head", dtype=masked.real())
    value_SL1 = head(x_SLD)
    return value_SL1[..., 0].astype(masked.real())


def log_prob_and_entropy(
    logits: jax.Array, token: jax.Array, temperature: float
) -> tuple[jax.Array, jax.Array]:
    """log π(token) and H(π) under softmax(logits / temperature); both [...]."""
    log_p = jax.nn.log_softmax(logits / temperature, axis=-1)
    chosen = jnp.take_along_axis(log_p, token[..., None], axis=-1)[..., 0]
    return chosen, -jnp.sum(jnp.exp(log_p) * log_p, axis=-1)
