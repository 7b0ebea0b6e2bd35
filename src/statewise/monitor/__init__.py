"""Where a trained policy is at risk, and watching it run."""
