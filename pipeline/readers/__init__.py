"""Readers: one raw file of a recording to an array in physical units with its time axis."""
