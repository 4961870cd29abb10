"""What runs have found, for people to look at: one page, or figures for a paper.

``load`` reads run folders into plain data, ``html`` makes the page of it, ``figures`` draws with
matplotlib. Nothing here trains, predicts or opens a cache.
"""

from dmft.report.load import Measured, load_runs

__all__ = ["Measured", "load_runs"]
