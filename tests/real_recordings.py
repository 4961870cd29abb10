"""Where the real UTD-MHAD recordings lie, for the tests marked ``real``.

``$UTD_MHAD_ROOT``, or ``shared/utd-mhad`` beside the repository; tests skip where neither is.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2] / "shared"
UTD_MHAD_ROOT = Path(os.environ.get("UTD_MHAD_ROOT", _BESIDE / "utd-mhad"))
MMACT_CLIP = _BESIDE / "mmact-sample" / "carrying.mp4"
MMACT_SENSOR_FILE = MMACT_CLIP.with_suffix(".csv")


def utd_mhad_root() -> Path:
    """The folder with Depth, Inertial and Skeleton; skips the test where it is absent."""
    if not (UTD_MHAD_ROOT / "Inertial").is_dir():
        pytest.skip(f"no UTD-MHAD recordings in {UTD_MHAD_ROOT}: set UTD_MHAD_ROOT")
    return UTD_MHAD_ROOT


def mmact_clip() -> Path:
    """One real MMAct clip (H.264, 1920x1080, 268 frames); skips the test where it is absent."""
    if not MMACT_CLIP.is_file():
        pytest.skip(f"no MMAct clip at {MMACT_CLIP}")
    return MMACT_CLIP


def mmact_sensor_file() -> Path:
    """One real MMAct sensor file (accelerometer, 890 rows); skips the test where it is absent."""
    if not MMACT_SENSOR_FILE.is_file():
        pytest.skip(f"no MMAct sensor file at {MMACT_SENSOR_FILE}")
    return MMACT_SENSOR_FILE
