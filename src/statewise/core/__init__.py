"""Pure building blocks that know nothing of a run: formulas, networks, embedding, optimizer, array types."""
