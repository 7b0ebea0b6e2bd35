"""Soft actor-critic, the interface of a safety mechanism, and the mechanisms."""
