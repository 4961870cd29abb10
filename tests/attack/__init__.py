"""The project's attacks on itself: kills, flips, mutated files, full disks, two writers.

``python -m tests.attack`` (``make attack``) runs them and counts; only the command line and the
formats in ``docs/reference`` are used, so that the attacks outlive the insides.
"""

FAMILY_MODULES = ("kills", "flips", "mutants", "faults")
"""Where the families are, in the order in which they run."""
