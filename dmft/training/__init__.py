"""Training: what is minimised, the loop, of one model and of many at once, and distillation.

Read ``train.py`` from the top for what becomes of a run, and ``loop.py`` for one epoch of it.
"""

from dmft.training.loop import EpochReport, Learner, TrainingData, fit
from dmft.training.together import fit_together

__all__ = ["EpochReport", "Learner", "TrainingData", "fit", "fit_together"]
