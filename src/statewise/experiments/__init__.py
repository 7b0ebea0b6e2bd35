"""Experiments of many runs: grids of them, and what they say together."""
