"""How long the parts of a run take, always beside something measured in the same run."""
