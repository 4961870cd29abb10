"""Fabricated recordings: one moving skeleton a record, seen by every modality.

``body`` and ``motion`` make the skeleton move; ``sensors``, ``wearables``, ``render`` and
``cameras`` measure it; ``utd_mhad`` and ``mmact`` write what was measured in their data sets' own
files, and ``irregular`` knows what can be wrong with the latter. The package reads no real
recording and imitates no real person.
"""
