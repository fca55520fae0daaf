"""How long the parts of a run take, beside something measured in the same run."""
