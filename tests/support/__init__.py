"""What several tests share: toy environments, small configurations, references in NumPy."""
