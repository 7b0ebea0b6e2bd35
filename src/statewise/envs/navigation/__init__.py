"""Point and Car on Goal, Circle and Button: the navigation tasks of Safety-Gymnasium, native."""
