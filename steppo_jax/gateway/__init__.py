"""A chat-completions server whose calls become the steps that a run trains on.

Any program that speaks the chat-completions API plays; every call inside a trajectory
is kept as a row (prompt and response ids, log-probs, weights that sampled them), and
complete groups of closed trajectories are one more source of rows for the same update.
What it promises and what it refuses: docs/gateway.md.
"""
