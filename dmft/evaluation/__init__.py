"""Measuring trained runs; nothing here trains or chooses anything."""
