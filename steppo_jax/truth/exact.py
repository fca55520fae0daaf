"""Exact values, advantages and policy gradients, in float64 NumPy.

Letters: S states, A actions, T steps, K nodes of the response tree, V words.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from steppo_jax.truth.mdp import UNDISCOUNTED, Discount, Mdp, probabilities


@dataclasses.dataclass(frozen=True)
class Truth:
    """The solution for one policy and one discount."""

    value: np.ndarray  # [T + 1, S + 1] V before step t; column S, the end, is 0
    node_value: np.ndarray  # [T, S, K] value before each token; [..., 0] is V
    quality: np.ndarray  # [T, S, K, V] value after saying the token; 0 if not legal

    @property
    def token_advantage(self) -> np.ndarray:
        """[T, S, K, V] Q(token) − V before the token."""
        return self.quality - self.node_value[..., None]

    @property
    def step_advantage(self) -> np.ndarray:
        """[T, S, K, V] Q(response) − V(state), where the token ends the response."""
        return self.quality - self.value[:-1, :-1, None, None]


def reach(policy: np.ndarray, mdp: Mdp) -> np.ndarray:
    """[S, K] probability that the response passes the node, given the state."""
    tree = mdp.language
    passing = np.zeros(policy.shape[:2])
    passing[:, 0] = 1.0
    for node in range(tree.num_nodes):  # parents stand before their children
        for token in np.flatnonzero(tree.child[node] >= 0):
            said = passing[:, node] * policy[:, node, token]
            passing[:, tree.child[node, token]] = said
    return passing


def _step_model(policy, mdp, discount) -> tuple[np.ndarray, np.ndarray]:
    """(r [S], W [S, S]) with V_t = r + W V_{t+1}: a response of n tokens enters with
    κⁿ⁻¹ before its reward and γκⁿ⁻¹ before what follows, κ = discount.token."""
    tree = mdp.language
    ends = np.where(tree.ends, policy * reach(policy, mdp)[..., None], 0)
    ends = ends * (discount.token**tree.depth)[:, None]
    actions = np.zeros((mdp.num_states, mdp.transition.shape[1]))
    for node, token in zip(*np.nonzero(tree.ends)):
        actions[:, tree.meaning[node, token]] += ends[:, node, token]
    reward = (actions * mdp.expected_reward).sum(-1)
    follow = np.einsum("sa,sap->sp", actions, mdp.transition[:, :, :-1])
    return reward, discount.step * follow


def values(logits: np.ndarray, mdp: Mdp, discount: Discount) -> np.ndarray:
    """[T + 1, S + 1] V^π before step t. Bellman's equation, by recursion or solved.

    A limit that is part of the task makes V depend on t, with V_T = 0. A limit
    that only cuts the collection leaves one V for all t, the fixed point
    V = (I − W)⁻¹ r. Raises ValueError if there is no such V.
    """
    reward, follow = _step_model(probabilities(logits, mdp.language), mdp, discount)
    value = np.zeros((mdp.max_steps + 1, mdp.num_states + 1))
    if mdp.on_time_limit == "bootstrap":
        if np.abs(np.linalg.eigvals(follow)).max() >= 1 - 1e-12:
            raise ValueError(
                f"{mdp.name} never ends and is not discounted: it has no finite value"
            )
        value[:, :-1] = np.linalg.solve(np.eye(len(reward)) - follow, reward)
        return value
    for t in reversed(range(mdp.max_steps)):
        value[t, :-1] = reward + follow @ value[t + 1, :-1]
    return value


def solve(logits: np.ndarray, mdp: Mdp, discount: Discount) -> Truth:
    """V, and Q and V of every token: q = r̄ + γ Σ P V_{t+1} at the end of a response,
    q = κ V(node after the token) before; V(node) = Σ π q."""
    tree, policy = mdp.language, probabilities(logits, mdp.language)
    value = values(logits, mdp, discount)
    after = np.einsum("sap,tp->tsa", mdp.transition, value[1:])
    of_action = mdp.expected_reward + discount.step * after  # [T, S, A]
    shape = (mdp.max_steps, mdp.num_states, tree.num_nodes, len(tree.words))
    quality, node_value = np.zeros(shape), np.zeros(shape[:-1])
    for node in reversed(range(tree.num_nodes)):
        for token in np.flatnonzero(tree.legal[node]):
            if tree.ends[node, token]:
                known = of_action[..., tree.meaning[node, token]]
            else:
                known = discount.token * node_value[..., tree.child[node, token]]
            quality[..., node, token] = known
        node_value[..., node] = (policy[:, node] * quality[..., node, :]).sum(-1)
    return Truth(value, node_value, quality)


def visits(
    logits: np.ndarray, mdp: Mdp, discount: Discount = UNDISCOUNTED
) -> np.ndarray:
    """[T, S] E[discount so far · 1{in s before step t}]; plain visits undiscounted."""
    policy = probabilities(logits, mdp.language)
    _, follow = _step_model(policy, mdp, discount)
    found = np.zeros((mdp.max_steps, mdp.num_states))
    found[0] = mdp.start
    for t in range(1, mdp.max_steps):
        found[t] = found[t - 1] @ follow
    return found


def objective(logits: np.ndarray, mdp: Mdp, discount: Discount) -> float:
    """J = Σ_s P(start = s) V_0(s) = E[Σ_t γ^t r_t] for discounting per step."""
    return float(mdp.start @ values(logits, mdp, discount)[0, :-1])


def gradient(
    logits: np.ndarray,
    mdp: Mdp,
    discount: Discount,
    visited: Discount | None = None,
) -> np.ndarray:
    """[S, K, V] Σ_t Σ_s d_t(s) Σ_node κ^depth P(node | s) π(token) A(token).

    The policy gradient theorem for a softmax at every node. `visited` says how the
    visits d (and κ) are discounted. With `visited = discount`, the default, this is
    ∇J if the limit is part of the task. With `UNDISCOUNTED` it is what algorithms
    aim at that drop γ^t before the advantage, as all of them do (Nota and Thomas
    2020, arXiv 1906.07073): for γ < 1 not the gradient of any function.

    Where the limit only cuts the collection, the sum is over the T collected steps.
    """
    visited = discount if visited is None else visited
    policy = probabilities(logits, mdp.language)
    weight = visits(logits, mdp, visited)[:, :, None] * reach(policy, mdp)
    weight = weight * visited.token**mdp.language.depth
    advantage = solve(logits, mdp, discount).token_advantage
    terms = weight[..., None] * policy * advantage
    return np.where(mdp.language.legal, terms, 0).sum(0)


def length_gradient(logits: np.ndarray, mdp: Mdp) -> np.ndarray:
    """[S, K, V] ∂/∂logits of E[tokens per response], at the states as visited now."""
    tree, policy = mdp.language, probabilities(logits, mdp.language)
    expected = np.zeros(policy.shape[:2])  # tokens still to come from the node on
    more = np.zeros(policy.shape)
    for node in reversed(range(tree.num_nodes)):
        after = np.where(tree.child[node] >= 0, expected[:, tree.child[node]], 0)
        more[:, node] = np.where(tree.legal[node], 1 + after, 0)
        expected[:, node] = (policy[:, node] * more[:, node]).sum(-1)
    seen = visits(logits, mdp).sum(0)
    weight = (seen / seen.sum())[:, None] * reach(policy, mdp)
    terms = weight[..., None] * policy * (more - expected[..., None])
    return np.where(tree.legal, terms, 0)
