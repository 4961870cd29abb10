"""The training loop, of one model and of many at once, its schedule and its checkpoints."""

from dmft.training.loop import EpochReport, Learner, TrainingData, fit
from dmft.training.together import fit_together

__all__ = ["EpochReport", "Learner", "TrainingData", "fit", "fit_together"]
