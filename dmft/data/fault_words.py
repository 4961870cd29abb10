"""The names of faults and what they mean, for configurations and reports: no arrays here.

What each does to patches is in :mod:`dmft.data.faults`.
"""

from __future__ import annotations

REMOVED = "removed"
"""The model is told; of all other faults it is not."""
FAULTS = {
    "noise": "noise of up to twice each column's deviation",
    "cut-start": "begins late, by up to 0.8 of the record",
    "cut-end": "stuck until the end, for up to 0.8 of the record",
    "gap": "stuck for a while, for up to 0.8 of the record",
    "dropped": "up to nine of ten samples repeat the one before",
    "late": "late against the other modalities, by up to half the record",
    "clipped": "cut off at down to 0.2 deviations",
    "gain": "up to three times as large or as small",
    "bias": "off by up to three deviations",
    "drift": "drifting by up to four deviations",
    "axes": "axes exchanged and turned round",
    "mirrored": "on the other wrist, or by a mirrored camera",
    "unit": "in another unit, 9.8 times as large or as small",
    "joints-lost": "up to all joints stuck where they were at first",
    "sides-swapped": "left named right and right left",
    "frozen": "stuck at its first value",
    "swapped": "another record's of the same side, as when files are mixed up",
    "stranger": "another person's record, of the training side",
}
"""Name to words."""
ANOTHERS = ("swapped", "stranger")
"""Faults that are sound signals in the wrong place."""
BOTH = ("frozen", "swapped")
"""Faults that two modalities are given at once."""
SEVERITIES = (0.25, 0.5, 1.0)
"""What is measured of a fault that has degrees."""
