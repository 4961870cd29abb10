"""A run's files: what it says of itself, its weights, and loading it again."""
