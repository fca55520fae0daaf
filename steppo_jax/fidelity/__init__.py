"""Estimators of credit against the true step advantage of a trained policy.

The state of an environment is a pytree, so any state of a rollout can be played on
from, again and again: the advantage of a step is measured, not modelled.
"""
