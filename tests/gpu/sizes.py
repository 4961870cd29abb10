"""How much each part works on: as much as a GPU needs to be measured, and so little for a test."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Recordings, caches and models of one run of all parts."""

    n_films: int
    """H.264 films, all alike."""
    n_frames: int
    """In each."""
    frame: tuple[int, int]
    """Height and width."""
    n_depth: int
    """Recordings of depth, 240 x 320 pixels, all alike."""
    n_depth_frames: int
    image_size: int
    """That the network sees."""
    n_batches: int
    """Of a bare forward pass."""
    n_subjects: int
    n_classes: int
    n_trials: int
    """Of each class by each person."""
    widths: dict[str, tuple[int, int]]
    """Modality to stored patches and features."""
    changes: tuple[str, ...]
    """Of the configuration of sizes as in the paper."""
    together: tuple[int, ...]
    """Models that are trained at once."""


REAL = Sizes(
    n_films=64,
    n_frames=192,
    frame=(1080, 1920),
    n_depth=256,
    n_depth_frames=68,
    image_size=224,
    n_batches=40,
    n_subjects=8,
    n_classes=27,
    n_trials=4,
    widths={"rgb": (32, 2048), "skeleton": (64, 60), "depth": (32, 2048), "inertial": (128, 6)},
    changes=(),
    together=(1, 8, 32),
)
"""1080p as MMAct has it, depth and a cache as UTD-MHAD has them: 864 records of four modalities."""

SMALL = Sizes(
    n_films=2,
    n_frames=6,
    frame=(64, 96),
    n_depth=2,
    n_depth_frames=4,
    image_size=32,
    n_batches=1,
    n_subjects=2,
    n_classes=2,
    n_trials=2,
    widths={"rgb": (8, 8), "skeleton": (8, 6), "depth": (8, 8), "inertial": (8, 6)},
    changes=(
        "encoder.width=16",
        "encoder.heads=2",
        "encoder.feed_forward=32",
        "teacher.layers=2",
        "teacher.fusion_layers=2",
        *(f"modality.{name}.n_patches=4" for name in ("rgb", "skeleton", "depth", "inertial")),
    ),
    together=(1, 2),
)
"""For a processor and a test: every line runs, no figure means anything."""
