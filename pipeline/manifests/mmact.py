"""How MMAct names its files: folders that say subject, camera, scene and session, then the class.

Releases put the folders in different orders, so each folder is read by what it says and not by
where it stands: ``subject3``, ``Subject03`` and ``subject_3`` are the same. Four cameras film a
trial; the sensors that the person wears belong to all of its views and have no camera folder.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pipeline.contract import ContractError
from pipeline.manifests.place import Place

MMACT_CLASSES = (
    "carrying", "carrying_heavy", "carrying_light", "checking_time", "closing", "crouching",
    "drinking", "entering", "exiting", "fall", "jumping", "kicking", "loitering",
    "looking_around", "opening", "picking_up", "pocket_in", "pocket_out", "pointing", "pulling",
    "pushing", "running", "setting_down", "sitting", "sitting_down", "standing", "standing_up",
    "talking", "talking_on_phone", "throwing", "transferring_object", "using_pc", "using_phone",
    "walking", "waving_hand",
)  # fmt: skip
"""MMAct's 35 activities as the paper counts them: file names in lower case, sorted."""

DESK_SCENE = 3
AT_THE_DESK = {"talking_on_phone": "talking_on_phone_desk", "using_phone": "using_phone_desk"}
"""The two names that occur at the desk and elsewhere, and what they are called at the desk where
the two are told apart."""
MMACT_CLASSES_37 = tuple(sorted((*MMACT_CLASSES, *AT_THE_DESK.values())))
"""The 28 activities of scenes 1, 2 and 4 and the 9 of the desk, told apart."""

VIEWED = ("rgb", "skeleton")
"""Modalities that a camera saw."""
SHARED = ("inertial", "wifi", "pressure")
"""Modalities that the person wears: a file belongs to all views of its trial."""
_SENSORS = ("acc_phone", "acc_watch", "gyro", "orientation")
SENSOR_FOLDERS = {
    **{f"{name}_clip": ("inertial", name) for name in _SENSORS},
    **{name: ("inertial", name) for name in _SENSORS},
    **{name: (name, name) for name in SHARED if name != "inertial"},
}
"""Folder of sensor files to modality and stream."""

LEVEL = re.compile(r"(subject|cam|scene|session)(?:era)?[ _-]?0*(\d{1,4})", re.IGNORECASE)
"""A folder that says a part of the recording."""


def place(path: str, classes: tuple[str, ...] = MMACT_CLASSES) -> Place | None:
    """Where a file belongs, its label counted among ``classes``; None if it is no recording.

    Raises:
        ContractError: a name that is almost a recording's.
    """
    *folders, name = (part for part in path.split("/") if part not in ("", "."))
    modality, stream = _source(name.lower(), [folder.lower() for folder in folders])
    levels: dict[str, int] = {}
    for folder in folders:
        if named := _level(folder):
            level, number = named
            if levels.setdefault(level, number) != number:
                raise ContractError(
                    f"{path} is {level} {levels[level]} and {number}: wanted one folder of each"
                )
    if modality is None or not levels:
        return None
    wanted = ["subject", *(["cam"] if modality in VIEWED else []), "scene", "session"]
    if missing := [level for level in wanted if levels.get(level, 0) < 1]:
        raise ContractError(
            f"{path} has no folder that names its {' and '.join(missing)}: wanted "
            f"{'/'.join(f'{level}N' for level in wanted)} in any order, N from 1"
        )
    activity = name.rpartition(".")[0].lower()
    if activity not in MMACT_CLASSES:
        raise ContractError(
            f"{path} is of the activity {activity!r}: wanted one of {', '.join(MMACT_CLASSES)}"
        )
    scene = levels["scene"]
    counted = AT_THE_DESK.get(activity, activity) if scene == DESK_SCENE else activity
    label = classes.index(counted if counted in classes else activity)
    camera = levels["cam"] if modality in VIEWED else 0
    subject, session = levels["subject"], levels["session"]
    return Place(
        record_id=f"subject{subject}_cam{camera}_scene{scene}_session{session}_{activity}",
        label=label,
        attributes={"subject": subject, "camera": camera, "scene": scene, "session": session},
        modality=modality,
        stream=stream,
        trial=(subject, scene, session, label),
        view=camera,
    )


@lru_cache(maxsize=4096)  # few folders, and many files in each
def _level(folder: str) -> tuple[str, int] | None:
    """Which part of the recording a folder says, and its number."""
    match = LEVEL.fullmatch(folder)
    return (match[1].lower(), int(match[2])) if match else None


def _source(name: str, folders: list[str]) -> tuple[str | None, str]:
    """Modality and stream of a file; None for a file that is no recording."""
    if name.startswith("."):  # what an archiver of another system left beside a file
        return None, ""
    if name.endswith(".mp4"):
        return "rgb", "rgb"
    if name.endswith(".json") and "pose" in folders:
        return "skeleton", "skeleton"
    if name.endswith(".csv"):
        return next(
            (SENSOR_FOLDERS[folder] for folder in folders if folder in SENSOR_FOLDERS), (None, "")
        )
    return None, ""
