"""The paper's theorems in numbers, and exact answers to hold what was learned against."""
