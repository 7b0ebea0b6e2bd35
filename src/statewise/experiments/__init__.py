"""Experiments: curves of many runs, statistics that hold with few seeds, and what must not be averaged away."""
