"""How a run proceeds: the loop, sampling, evaluation, diagnostics."""
