"""The commands that use a model on raw recordings."""
