"""Training: what is minimised, the loop, of one model and of many at once, and distillation.

Read ``train.py`` from the top for what becomes of a run, and ``loop.py`` for one epoch of it.
"""

from dmft.training.log import EpochReport
from dmft.training.loop import Learner, fit
from dmft.training.together import fit_together

__all__ = ["EpochReport", "Learner", "fit", "fit_together"]
