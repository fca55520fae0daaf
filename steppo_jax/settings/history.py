"""What fields meant before they existed, so that older run folders stay readable."""

from __future__ import annotations

from typing import Any

# Dotted name of a field added after version 0.1 → the value that does what runs did
# before it. Only these may be missing from a stored config.
ADDED: dict[str, Any] = {
    "context.policy": "rebuilt",
    "objective.behaviour_cap": None,
    "rollout.staleness": 0,
    "context.turns": None,
    "credit.official": False,
    "credit.similarity": None,
    "model.lora_rank": None,
    "model.lora_alpha": None,
    "model.lora_layers": None,
    "branching.branches": None,
    "branching.gamma": None,
    "critic.trunk": "own",
    "critic.coef": None,
    "critic.scale": 1.0,
    "model.norm_eps": 1e-6,
    "model.dtype": "float32",
    "model.remat": False,
    "model.remat_keep": None,
    "model.scan_layers": False,
    "model.attention": "plain",
    "lm.weights": None,
    "lm.rules": None,
    "lm.max_prompt": None,
    "lm.max_new": None,
    "lm.slots": None,
    "env.variant": None,
    "env.tools": None,
    "env.data": None,
    "env.retriever": None,
    "env.encoder": None,
    "env.top": None,
    "env.history": None,
    "env.relevance": None,
    "host.workers": None,
    "host.reset_seconds": None,
    "host.step_seconds": None,
    "host.tries": None,
    "gateway.staleness": None,
    "gateway.idle_seconds": None,
    "gateway.calls": None,
    "warm_start.measured_on": 256,
    "parallel.kind": "pmap",
    "parallel.data": None,
    "parallel.fsdp": None,
    "parallel.tensor": None,
    "learner.layout": "rows",
    "learner.width": None,
    # Runs without guards went on whatever their numbers; resumed, they have them.
    "guards.max_skips": 8,
    "guards.sampler_gap": 0.05,
    "guards.gap_patience": 3,
    "guards.max_kl": None,
    "guards.loss_spike": None,
}


def completed(given: dict[str, Any]) -> dict[str, Any]:
    """A stored config (dotted name → value) with the fields that are younger than it.

    A run without a critic used none of the critic's, whatever they mean with one.
    """
    older = given.get("critic.kind") == "none"
    unused = {name: None for name in ADDED if older and name.startswith("critic.")}
    return ADDED | unused | given
