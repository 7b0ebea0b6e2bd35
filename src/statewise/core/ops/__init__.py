"""The formulas, one pure function each: arrays in, arrays out; no networks, no state, no configuration."""
