"""Fabricated recordings: one moving skeleton a record, seen by every modality.

``body`` and ``motion`` make the skeleton move, ``sensors`` and ``render`` measure it, and one
module a data set (``utd_mhad``) writes what they measured in that data set's own files. All but
the last are data-set neutral. The package reads no real recording and imitates no real person.
"""
