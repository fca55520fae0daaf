"""Parameters from and to the files that other programs read."""
