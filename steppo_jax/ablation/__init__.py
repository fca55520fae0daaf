"""Grids of runs: cells × seeds, resumed, side by side, compared.

grid (what is to run) → plan (in which order) → work or workers (runs it, here or in
processes; lanes: several seeds in one program) → table (what came out).
"""
