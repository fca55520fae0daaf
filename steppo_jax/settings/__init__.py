"""The configuration: its tree of fields and the rules that every value must meet.

`fields` is the tree with defaults, `ranges` the rule of each single field,
`checks` the rules between fields. No option is silent: a field changes the
program, or `check` refuses the value and says what to do instead.
"""

from steppo_jax.settings.checks import check
from steppo_jax.settings.errors import ConfigError, refuse
from steppo_jax.settings.fields import FIELDS, find, flat, from_dict, tree
from steppo_jax.settings.text import parse, update

__all__ = [
    "FIELDS",
    "ConfigError",
    "check",
    "find",
    "flat",
    "from_dict",
    "parse",
    "refuse",
    "tree",
    "update",
]
