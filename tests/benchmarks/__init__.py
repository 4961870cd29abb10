"""Benchmarks: scripts that print a ratio from one run, ours beside the plain way. Not tests."""
