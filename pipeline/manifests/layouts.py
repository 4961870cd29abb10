"""How each data set names its files: from a path to the record, modality and stream it is.

Only names are looked at; a file's content is the readers' business.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType

from pipeline.contract import ConfigError, ContractError


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one file belongs."""

    record_id: str
    label: int
    attributes: Mapping[str, int]
    modality: str
    stream: str
    order: tuple[int, ...]
    """Records are sorted by it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One data set's naming."""

    dataset: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    place: Callable[[str], Place | None]
    """Path to place; None for a file that is no recording. Raises ``ContractError`` for a name
    that is almost one."""


UTD_MHAD_CLASSES = (
    "swipe_left", "swipe_right", "wave", "clap", "throw", "arm_cross", "basketball_shoot",
    "draw_x", "draw_circle_CW", "draw_circle_CCW", "draw_triangle", "bowling", "boxing",
    "baseball_swing", "tennis_swing", "arm_curl", "tennis_serve", "push", "knock", "catch",
    "pickup_throw", "jog", "walk", "sit2stand", "stand2sit", "lunge", "squat",
)  # fmt: skip
"""UTD-MHAD's actions 1 to 27: action A is label A - 1."""

_UTD_MHAD_FILE = re.compile(
    r"a0*(\d{1,4})_s0*(\d{1,4})_t0*(\d{1,4})_(?:(inertial|skeleton|depth)\.mat|(color)\.avi)",
    re.IGNORECASE,
)


def _place_utd_mhad(path: str) -> Place | None:
    match = _UTD_MHAD_FILE.fullmatch(PurePosixPath(path).name)
    if match is None:
        return None
    action, subject, trial = (int(number) for number in match.groups()[:3])
    if not 1 <= action <= len(UTD_MHAD_CLASSES) or subject < 1 or trial < 1:
        raise ContractError(
            f"{path} is action {action}, subject {subject}, trial {trial}: wanted an action from "
            f"1 to {len(UTD_MHAD_CLASSES)}, and subject and trial from 1"
        )
    modality = "rgb" if match[5] else match[4].lower()
    return Place(
        record_id=f"a{action}_s{subject}_t{trial}",
        label=action - 1,
        attributes={"action": action, "subject": subject, "trial": trial},
        modality=modality,
        stream=modality,
        order=(action, subject, trial),
    )


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "utd-mhad": Layout(
            dataset="utd-mhad",
            classes=UTD_MHAD_CLASSES,
            modalities=("rgb", "depth", "skeleton", "inertial"),
            place=_place_utd_mhad,
        )
    }
)
"""Data set to its layout."""


def layout_of(dataset: str) -> Layout:
    """The layout of a data set.

    Raises:
        ConfigError: there is none; the message names what there is.
    """
    if dataset not in LAYOUTS:
        raise ConfigError(f"no layout for data set {dataset!r}: there are {sorted(LAYOUTS)}")
    return LAYOUTS[dataset]
