"""Safety mechanisms, one a file: each is a NamedTuple of pure functions that `statewise.sac` calls."""
