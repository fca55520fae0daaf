"""Real text environments, which run on the host in worker processes."""
