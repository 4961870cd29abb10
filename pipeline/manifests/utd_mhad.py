"""How UTD-MHAD names its files: ``a{action}_s{subject}_t{trial}_{modality}``, in any folder."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from pipeline.contract import ContractError
from pipeline.manifests.place import Place

UTD_MHAD_CLASSES = (
    "swipe_left", "swipe_right", "wave", "clap", "throw", "arm_cross", "basketball_shoot",
    "draw_x", "draw_circle_CW", "draw_circle_CCW", "draw_triangle", "bowling", "boxing",
    "baseball_swing", "tennis_swing", "arm_curl", "tennis_serve", "push", "knock", "catch",
    "pickup_throw", "jog", "walk", "sit2stand", "stand2sit", "lunge", "squat",
)  # fmt: skip
"""UTD-MHAD's actions 1 to 27: action A is label A - 1."""

_FILE = re.compile(
    r"a0*(\d{1,4})_s0*(\d{1,4})_t0*(\d{1,4})_(?:(inertial|skeleton|depth)\.mat|(color)\.avi)",
    re.IGNORECASE,
)


def place(path: str) -> Place | None:
    """Where a file belongs; None if it is no recording.

    Raises:
        ContractError: a name that is almost a recording's.
    """
    match = _FILE.fullmatch(PurePosixPath(path).name)
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
        trial=(action, subject, trial),
    )
