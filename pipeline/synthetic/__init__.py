"""Fabricated recordings: one moving skeleton a record, seen by every modality.

``vocabulary`` reads motions, ``motion`` performs them and ``body`` follows; ``scene`` is one
record before any sensor looks. ``sensors``, ``render`` and ``cameras`` measure it.
``utd_mhad`` and ``mmact`` say what their data sets' own files hold, ``films`` encodes videos,
``irregular`` knows what can be wrong with an MMAct tree, and ``tree`` writes trials of either.
The package reads no real recording and imitates no real person.
"""
