"""Safety mechanisms, one a file; each builds a `Mechanism`, a NamedTuple of pure functions."""
