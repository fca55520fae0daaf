"""The figures of the paper, and those it lacks, from run records alone."""
