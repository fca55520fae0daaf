"""steppo_jax: step-level agentic reinforcement learning in JAX.

Read in this order: `structs` (the two tables), `credit` (Steps → advantage),
`objective` (advantage → loss), `learner` (one update), `actor` (policy ×
environment → tables), `train` (the loop).
"""

__version__ = "0.1.0"
