"""Episodes of a tabular MDP one by one, by recursion over strings: slow and plain.

Shares with the shipped code the tables of the MDP and nothing else.
"""

import math


def chance_of(response, logits, tree):
    """(π(response), its nodes) by walking the tree with one softmax per token."""
    node, chance, nodes, words = 0, 1.0, [], range(len(tree.words))
    for token in response:
        legal = [max(tree.child[node][v], tree.meaning[node][v]) >= 0 for v in words]
        weight = [math.exp(logits[node][v]) if legal[v] else 0.0 for v in words]
        chance *= weight[token] / sum(weight)
        nodes.append(node)
        node = tree.child[node][token]
    return chance, nodes


def episodes(mdp, logits, state=None, t=0):
    """Yields (probability, [(state, response, nodes, reward, next state), …])."""
    if state is None:
        for first, chance in enumerate(mdp.start):
            for p, steps in episodes(mdp, logits, first) if chance else ():
                yield chance * p, steps
        return
    if state == mdp.num_states or t == mdp.max_steps:
        yield 1.0, []
        return
    for response, action in mdp.language.responses().items():
        said, nodes = chance_of(response, logits[state], mdp.language)
        for after, moved in enumerate(mdp.transition[state][action]):
            if moved:
                reward = mdp.reward[state][action][after]
                step = (state, response, nodes, reward, after)
                for p, rest in episodes(mdp, logits, after, t + 1):
                    yield said * moved * p, [step, *rest]


def discounted(steps, discount):
    """Σ r · (discount so far): γ between steps, κ between the tokens of a step."""
    total, so_far = 0.0, 1.0
    for _, response, _, reward, _ in steps:
        so_far *= discount.token ** (len(response) - 1)
        total += so_far * reward
        so_far *= discount.step
    return total
