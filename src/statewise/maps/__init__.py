"""Where a trained policy is at risk: λ(x) and F̂(x) over a plane, drawn and in numbers."""
