"""Finished runs as small records, and the statistics of comparing them."""
