"""Grids: many runs at once, brought to their end whatever dies on the way."""
