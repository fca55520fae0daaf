"""One iteration of learning: tables in, new parameters out.

    old log-probs and values → credit → advantage → for each minibatch of whole
    trajectories: sums over slices, sums over devices, one division, one step.

The body is pure and knows nothing of environments, tokenizers or files. It runs
unchanged on one device (`jit`) or many (`pmap`): see `parallel.Axis`.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import optax

from steppo_jax import credit, draws, layout, masked, objective
from steppo_jax.learner import (
    diagnostics,
    layouts,
    learned,
    microbatch,
    minibatches,
    seen,
    separate,
    shared,
    state,
)
from steppo_jax.learner.gradients import Tables
from steppo_jax.learner.seen import Seen
from steppo_jax.learner.settings import UpdateSettings
from steppo_jax.learner.state import LearnerState, create
from steppo_jax.models import lora, stacking
from steppo_jax.models.heads import Critic, Policy, ValueHead
from steppo_jax.parallel import Axis
from steppo_jax.structs import Steps, Tokens

Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class Learner:
    """The networks and the settings of a run; holds no arrays."""

    policy: Policy
    critic: Critic | ValueHead | None
    settings: UpdateSettings

    def init(self, key: jax.Array) -> LearnerState:
        """Fresh parameters. Nothing is consumed: `key` stays the base of the run."""
        place = jnp.zeros((1, 1), jnp.int32)
        inputs = (place, place, place + 1)
        policy = self.policy.init(draws.key_of(key, "policy"), *inputs)
        critic = {}
        if self.on_trunk:
            inputs = (jnp.zeros((1, 1, self.policy.config.width)),)
        if self.critic is not None:
            critic = self.critic.init(draws.key_of(key, "critic"), *inputs)
        if self._adapts_critic:
            head = {"head": critic["params"]["head"]}
            critic = critic | {"params": head}
        return self._create(policy, critic, key)

    def _create(self, policy, critic, key: jax.Array) -> LearnerState:
        reference, delayed = self._reference(policy), self.settings.staleness > 0
        return create(policy, critic, *self.optimizers(), reference, key, delayed)

    @property
    def on_trunk(self) -> bool:
        """Whether the critic reads the policy's hidden states (`learner.shared`)."""
        return isinstance(self.critic, ValueHead)

    @property
    def _adapts_critic(self) -> bool:
        """Whether a critic of its own is adapters on the policy's fixed weights."""
        own = self.critic is not None and not self.on_trunk
        return own and self.policy.config.lora_rank is not None

    def critic_variables(self, policy, critic):
        """All that the critic is applied with: `critic`, and what is fixed of it."""
        return lora.join(critic, self._fixed_of_critic(policy))

    def _fixed_of_critic(self, policy):
        if not self._adapts_critic:
            return {}
        return {"params": {"decoder": policy["params"]["decoder"]}}

    def _reference(self, policy):
        """What is kept of `policy` as the reference when a run starts from it."""
        if self.settings.kl is None:
            return {}
        return jax.tree.map(jnp.copy, lora.split(policy)[0])

    def start_from(self, fresh: LearnerState, policy) -> LearnerState:
        """The state with given policy parameters; a critic of its own copies their
        decoder.

        The value head stays as it was made, near zero (docs/official.md §3). With
        adapters the fixed weights are the policy's anyway, and its adapters are
        copied.
        """
        return self._start(policy, fresh.critic, fresh.key)

    def start_from_weights(self, policy, key: jax.Array) -> LearnerState:
        """`start_from` for weights that were not drawn; value head and adapters are."""
        critic = {}
        if self.policy.config.lora_rank is not None:
            place = jnp.zeros((1, 1), jnp.int32)

            def adapters(key):  # what else would be drawn is dropped by the compiler
                return self.policy.init(key, place, place, place + 1)[lora.COLLECTION]

            drawn = jax.jit(adapters)(draws.key_of(key, "policy"))
            policy = policy | {lora.COLLECTION: drawn}
        if self.critic is not None:
            inputs = jnp.zeros((1, 1, self.policy.config.width))
            # Any critic's head has the parameters of a head alone.
            critic = ValueHead().init(draws.key_of(key, "critic"), inputs)
        return self._start(policy, critic, key)

    def _start(self, policy, critic, key: jax.Array) -> LearnerState:
        if self._adapts_critic:
            copied = jax.tree.map(jnp.copy, policy[lora.COLLECTION])
            critic = critic | {lora.COLLECTION: copied}
        elif self.critic is not None and not self.on_trunk:
            copied = jax.tree.map(jnp.copy, policy["params"]["decoder"])
            critic = {"params": critic["params"] | {"decoder": copied}}
        return self._create(policy, critic, key)

    def optimizers(self) -> tuple[optax.GradientTransformation, ...]:
        """(policy's, critic's); the identity where there is no critic.

        On a shared trunk the two halves of one step, whose gradient is clipped before.
        """
        s = self.settings
        if self.on_trunk:
            return s.policy.adamw(), s.policy.adamw()
        critic = optax.identity() if s.critic is None else s.critic.make()
        return s.policy.make(), critic

    def update(
        self, axis: Axis, now: LearnerState, steps: Steps, tokens: Tokens
    ) -> tuple[LearnerState, Metrics, Seen]:
        """Learns from one rollout: `epochs × minibatches` optimizer steps.

        Args:
          steps, tokens: this device's share, whole trajectories, in order of id.

        Returns:
          The new state, metrics of the iteration, and what the learner saw
          (`learner.seen`). A step with a non-finite loss or gradient changes nothing.
        """
        s, rows, before = self.settings, tokens, now
        if self.policy.config.scan_layers:
            now = state.over_parameters(stacking.stacked, now)
        if s.layout == "merged":
            tokens = layout.merged(steps, tokens)
        tables, metrics, found = self._prepare(axis, now, steps, tokens)
        orders, counts = self._deal(axis, now, steps, tokens)
        learns = now.iteration >= s.critic_warmup
        most = steps.num_rows // s.minibatches  # sequences of whole trajectories
        models = (self.policy, self.critic)

        def minibatch(carry, dealt):
            *both, filled = layouts.minibatch(s.width, steps, tables, *dealt, most)
            if self.on_trunk:
                of = both[0]
                carry, parts = shared.step(
                    axis, *models, carry, of.tables, of.order, of.count, learns, s
                )
                return carry, (parts, filled)
            fixed = self._fixed_of_critic(carry.policy)
            carry, parts = separate.step(
                axis, models, fixed, self.optimizers(), carry, *both, learns, s
            )
            return carry, (parts, filled)

        after, (parts, filled) = jax.lax.scan(minibatch, now, (orders, counts))
        metrics |= diagnostics.of_minibatches(parts) | layouts.padding(axis, filled)
        metrics["policy/updates"] = after.num_updates
        found |= seen.skipped(parts, orders, counts, steps, tokens)
        if s.layout == "merged" and "token_value" in found:
            found["token_value"] = layout.of_rows(rows, tokens, found["token_value"])
        if self.policy.config.scan_layers:
            after = state.over_parameters(stacking.layered, after)
        return state.learned(before, after), metrics, found

    def _prepare(self, axis: Axis, now: LearnerState, steps: Steps, tokens: Tokens):
        """All that is computed once on the whole batch, before any update."""
        s = self.settings
        estimator = credit.get(s.estimator)
        models = (self.policy, self.critic)
        params = (now.policy, self.critic_variables(now.policy, now.critic))
        table, entropy_SL = learned.learn(
            models,
            params,
            steps,
            tokens,
            estimator,
            s.temperature,
            s.microbatch,
            s.width,
        )
        kl, ref_log_prob = {}, None
        if s.kl is not None:
            table, ref_log_prob, kl = self._against_reference(axis, now, tokens, table)
        advantage_SL, target, batch = learned.assign_credit(
            axis, steps, tokens, table, estimator, s.credit, s.normalise
        )
        per_token = estimator.critic == "token"
        tables = Tables(
            tokens=tokens,
            step_id=batch.step_id,
            traj_id=batch.steps.traj_id,
            old_log_prob=table.old_log_prob,
            ref_log_prob=ref_log_prob,
            advantage=advantage_SL,
            behaviour=self._correction(tokens, table.old_log_prob),
            weights=learned.loss_weights(batch, s.aggregate, s.constant),
            critic_weights=learned.loss_weights(batch, "step", None),
            value_step=learned.value_places(steps, tokens),
            old_value=table.token_value if per_token else table.value,
            target=target,
            per_token=per_token,
        )
        metrics = diagnostics.of_batch(
            axis, steps, tables, entropy_SL, self.critic is not None, now.num_updates
        )
        return tables, metrics | kl, seen.by_step(steps, tables, table.next_value)

    def _correction(self, tokens: Tokens, old_log_prob_SL: jax.Array):
        """What the advantage of each token counts times, and where that was cut."""
        cap = self.settings.behaviour_cap
        if cap is None:
            return None
        mask = tokens.response_mask
        return objective.behaviour_weight(
            old_log_prob_SL, tokens.behaviour_log_prob, mask, cap
        )

    def _against_reference(self, axis: Axis, now: LearnerState, tokens: Tokens, table):
        """The tables with KL in the reward, or the log-probs for one in the loss."""
        s, mask = self.settings, tokens.response_mask
        reference = lora.join(now.reference, lora.split(now.policy)[1])
        ref_log_prob, _ = learned.log_probs(
            self.policy, reference, tokens, s.temperature, s.microbatch, s.width
        )
        k3 = objective.kl_estimate("k3", table.old_log_prob, ref_log_prob)
        metrics = {"policy/reference_kl": masked.mean(k3, mask, axis.sum)}
        if s.kl.place == "loss":
            return table, ref_log_prob, metrics
        reward = objective.kl_in_reward(
            table.token_reward,
            table.old_log_prob,
            ref_log_prob,
            mask,
            kind=s.kl.kind,
            coef=s.kl.coef,
        )
        return table.replace(token_reward=reward), None, metrics

    def _deal(self, axis: Axis, now: LearnerState, steps: Steps, tokens: Tokens):
        """[E·M, S] sequences of each minibatch, its own first, and [E·M] how many."""
        s = self.settings
        local = s.trajectories // axis.size
        first = axis.index() * local
        key = draws.of_iteration(now.key, "deal", now.iteration)
        traj_S = minibatches.trajectory_of_sequences(steps, tokens)
        local_S = jnp.where(traj_S < 0, -1, traj_S - first)

        def epoch(e):
            key_e = jax.random.fold_in(key, e)
            of_N = minibatches.assign(key_e, first, local, s.minibatches)
            of_S = masked.take(of_N, local_S, fill=-1)
            each_M1 = jnp.arange(s.minibatches)[:, None]
            return jax.vmap(microbatch.wanted_first)(of_S[None] == each_M1)

        orders, counts = jax.lax.map(epoch, jnp.arange(s.epochs))
        return orders.reshape(-1, orders.shape[-1]), counts.reshape(-1)
