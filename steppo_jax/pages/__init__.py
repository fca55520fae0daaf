"""Self-contained HTML pages: one file, no network, every text escaped."""
