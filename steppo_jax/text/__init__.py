"""The text path: language models play environments that speak text, on the host."""
