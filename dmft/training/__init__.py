"""The training loop, its schedule and its checkpoints."""

from dmft.training.loop import EpochReport, TrainingData, fit

__all__ = ["EpochReport", "TrainingData", "fit"]
