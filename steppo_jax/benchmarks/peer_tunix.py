"""GRPO or PPO of google-tunix on prompts of random words.

Run by an interpreter with google-tunix and its own jax (benchmarks/peer.py). A Qwen3
decoder of the sizes it is given, random weights, its own sampler, its own learners; one
optimizer step on the whole batch, no reference model. A job is one iteration: `asked`
stands in the place of the data set, and weights are waited for before it answers.
"""

from __future__ import annotations

import importlib.metadata
import logging
import random
import sys

from steppo_jax.benchmarks import peer

RATE = 1e-5  # of AdamW, as in benchmarks/tunix_peer.py


class Words:
    """A tokenizer: word i is "w<i>", after padding, begin and end."""

    def encode(self, text: str, **_) -> list[int]:
        return [int(word[1:]) for word in text.split()]

    def decode(self, ids, **_) -> str:
        return " ".join(f"w{int(i)}" for i in ids)

    def pad_id(self) -> int:
        return 0

    def bos_id(self) -> int:
        return 0  # none: a prompt is as long as it is given

    def eos_id(self) -> int:
        return 2


def reward(prompts, completions, **_) -> list[float]:
    """The share of words of even number."""
    del prompts
    said = [[int(word[1:]) for word in text.split()] for text in completions]
    return [sum(i % 2 == 0 for i in ids) / max(len(ids), 1) for ids in said]


def run(
    ppo: int, groups: int, size: int, prompt: int, new: int, words: int, **shape: int
) -> None:
    """Answers `iteration` until nothing more is asked."""
    import jax
    import numpy as np
    import optax
    from flax import nnx
    from tunix.models.qwen3 import model as qwen3
    from tunix.rl import rl_cluster as clusters
    from tunix.rl import utils
    from tunix.rl.grpo.grpo_learner import GRPOConfig, GRPOLearner
    from tunix.rl.ppo.ppo_learner import PPOConfig, PPOLearner
    from tunix.rl.rollout.base_rollout import RolloutConfig

    config = qwen3.ModelConfig(
        num_layers=shape["layers"],
        vocab_size=words,
        embed_dim=shape["width"],
        hidden_dim=shape["mlp_width"],
        num_heads=shape["heads"],
        head_dim=shape["head_width"],
        num_kv_heads=shape["kv_heads"],
        rope_theta=10_000,
        norm_eps=1e-6,
    )
    mesh = jax.make_mesh(
        (1, 1), ("fsdp", "tp"), axis_types=(jax.sharding.AxisType.Auto,) * 2
    )
    with mesh:
        actor = qwen3.Qwen3(config, rngs=nnx.Rngs(0))
        critic = utils.create_critic_model(actor) if ppo else None
    optimizer = {"actor_optimizer": optax.adamw(RATE)}
    if ppo:
        optimizer["critic_optimizer"] = optax.adamw(RATE)
    cluster = clusters.RLCluster(
        actor=actor,
        critic=critic,
        tokenizer=Words(),
        cluster_config=clusters.ClusterConfig(
            role_to_mesh=dict.fromkeys(clusters.Role, mesh),
            training_config=clusters.RLTrainingConfig(
                eval_every_n_steps=10**9, max_steps=10**9, **optimizer
            ),
            rollout_config=RolloutConfig(
                max_tokens_to_generate=new,
                max_prompt_length=prompt,
                kv_cache_size=prompt + new + 1,  # tunix wants one more
                temperature=1.0,
            ),
        ),
    )
    if ppo:
        learner = PPOLearner(cluster, PPOConfig(beta=0.0, gamma=0.99), [reward])
    else:
        settings = GRPOConfig(num_generations=size, beta=0.0)
        learner = GRPOLearner(cluster, settings, [reward])
    draw = random.Random(0)
    weights = sum(x.size for x in jax.tree.leaves(nnx.state(actor, nnx.Param)))
    versions = {x: importlib.metadata.version(x) for x in ("google-tunix", "jax")}

    def batches():
        for _ in peer.asked(versions | {"weights": weights}):
            pages = [
                " ".join(f"w{draw.randrange(3, words)}" for _ in range(prompt))
                for _ in range(groups)
            ]
            yield {"prompts": np.array(pages)}
            jax.block_until_ready(nnx.state((actor, critic) if ppo else actor))

    learner.train(batches())


if __name__ == "__main__":
    sys.stdout = sys.stderr  # what tunix prints is no answer
    logging.disable(logging.WARNING)
    run(**peer.numbers())
