"""Poses of one or two persons from JSON: 17 joints a person in COCO's order, in pixels.

The file is a list of frames, ``{"frame": i, "persons": [{"keypoints": [[x, y, score], ...]}]}``,
each with no, one or two persons. Frames are taken by their numbers where they have them, and a
number that is missing is a frame without persons. Persons are followed from frame to frame by who
is nearest, since a detector numbers them anew in each; the first is who is larger when first seen.
What was not seen (a frame without persons, a joint of score 0) is interpolated over time. Where
there is no second person, its joints lie on the first one's hips: a person of no extent.

Images are flat, so z is 0, and y is turned to point up as in a skeleton in metres.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.contract import StreamRef
from pipeline.readers.json_rows import parsed
from pipeline.signals.recording import Signal

JOINTS = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder",
    "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip",
    "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
"""COCO's joints in their order."""
HIPS = [11, 12]
N_PERSONS = 2
COLUMNS = tuple(
    f"person{person}_{joint}_{axis}"
    for person in range(1, N_PERSONS + 1)
    for joint in JOINTS
    for axis in ("x", "y", "z")
)
RATE_HZ = 30.0
"""The rate of the video that the poses were found in, nominal."""
MAX_FRAMES = 100_000
MAX_PIXEL = 1e6


def read_pose(content: bytes, ref: StreamRef) -> Signal:
    """Joints of both persons, :data:`COLUMNS`.

    Shapes: values (T, 34, 3) in pixels, times_s (T,) at a nominal 30 Hz.

    Raises:
        RecordingError: not such a file, by its frame; not ``ref.n_frames`` frames; a frame that
            is there twice; no one in any.
    """
    frames = parsed(content, ref)
    if not isinstance(frames, list) or not 0 < len(frames) <= MAX_FRAMES:
        held = f"{len(frames)} entries" if isinstance(frames, list) else type(frames).__name__
        raise ref.refuse(f"holds {held}: wanted a list of 1 to {MAX_FRAMES} frames")
    if ref.n_frames is not None and len(frames) != ref.n_frames:
        raise ref.refuse(f"holds {len(frames)} frames where the manifest lists {ref.n_frames}")
    numbered = _by_number(frames, ref)
    nobody = np.empty((0, len(JOINTS), 2))
    persons = [
        _persons(numbered[at], at, ref) if at in numbered else nobody
        for at in range(min(numbered), max(numbered) + 1)
    ]
    if not any(np.isfinite(joints).any() for joints in persons):
        raise ref.refuse(f"shows no person in any of its {len(frames)} frames: wanted one")
    joints = _follow(persons)
    first = _fill(joints[:, 0])
    hips = np.repeat(first[:, HIPS].mean(axis=1, keepdims=True), len(JOINTS), axis=1)
    second = _fill(joints[:, 1]) if np.isfinite(joints[:, 1]).any() else hips
    flat = np.concatenate([first, second], axis=1) * (1.0, -1.0)
    values = np.concatenate([flat, np.zeros((*flat.shape[:2], 1))], axis=2)
    return Signal(values=values.astype(np.float32), times_s=np.arange(len(values)) / RATE_HZ)


def _by_number(frames: list[Any], ref: StreamRef) -> dict[int, Any]:
    """Frames by their numbers; by their places where none has one."""
    numbers: list[Any] = [f.get("frame") if isinstance(f, dict) else None for f in frames]
    if all(number is None for number in numbers):
        return dict(enumerate(frames))
    for place, number in enumerate(numbers):
        if type(number) is not int or not 0 <= number < MAX_FRAMES:
            raise ref.refuse(
                f"has the number {str(number)[:20]} at entry {place}: wanted one from 0 to "
                f"{MAX_FRAMES - 1} for every frame",
            )
    numbered = dict(zip(numbers, frames, strict=True))
    if len(numbered) < len(frames):
        twice = next(n for place, n in enumerate(numbers) if n in numbers[:place])
        raise ref.refuse(f"has the frame {twice} twice: wanted each number once")
    return numbered


def _persons(frame: Any, at: int, ref: StreamRef) -> NDArray[np.float64]:
    """Persons of one frame; a joint that was not seen is NaN.

    Shapes: returns (n, 17, 2).
    """
    persons = frame.get("persons") if isinstance(frame, dict) else None
    if not isinstance(persons, list) or len(persons) > N_PERSONS:
        held = f"{len(persons)} persons" if isinstance(persons, list) else "no list of persons"
        raise ref.refuse(f"has {held} in frame {at}: wanted 0 to {N_PERSONS}")
    if not persons:
        return np.empty((0, len(JOINTS), 2))
    try:
        joints = np.array([person["keypoints"] for person in persons], dtype=np.float64)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ref.refuse(f"has a person in frame {at} that cannot be read: {error!r}") from error
    wanted = (len(persons), len(JOINTS), 3)
    if joints.shape != wanted or not (np.abs(joints) <= MAX_PIXEL).all():
        raise ref.refuse(
            f"has keypoints of shape {joints.shape} in frame {at}: wanted {wanted}, each x, y "
            f"and score finite and at most {MAX_PIXEL:.0f}"
        )
    seen = joints[:, :, 2:] > 0
    return np.where(seen, joints[:, :, :2], np.nan)


def _follow(persons_of: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Persons in one order through all frames; NaN where one is not there.

    Shapes: persons_of T times (n, 17, 2) -> (T, 2, 17, 2).
    """
    joints = np.full((len(persons_of), N_PERSONS, len(JOINTS), 2), np.nan)
    last = np.full((N_PERSONS, 2), np.nan)
    for at, persons in enumerate(persons_of):
        seen = [person for person in persons if np.isfinite(person).any()]
        centres = [np.nanmedian(person, axis=0) for person in seen]
        if np.isnan(last).all():
            seen.sort(key=_extent, reverse=True)
            centres = [np.nanmedian(person, axis=0) for person in seen]
        elif len(seen) == N_PERSONS:
            if _apart(centres[0], last[1]) + _apart(centres[1], last[0]) < (
                _apart(centres[0], last[0]) + _apart(centres[1], last[1])
            ):
                seen, centres = seen[::-1], centres[::-1]
        elif (
            seen
            and np.isfinite(last[1]).all()
            and _apart(centres[0], last[1]) < _apart(centres[0], last[0])
        ):
            joints[at, 1], last[1] = seen[0], centres[0]
            continue
        for person, (joints_seen, centre) in enumerate(zip(seen, centres, strict=True)):
            joints[at, person], last[person] = joints_seen, centre
    return joints


def _apart(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Distance; 0 from a person who was never seen."""
    return float(np.nan_to_num(np.linalg.norm(one - other)))


def _extent(person: NDArray[np.float64]) -> float:
    return float((np.nanmax(person, axis=0) - np.nanmin(person, axis=0)).prod())


def _fill(joints: NDArray[np.float64]) -> NDArray[np.float64]:
    """One person's joints without gaps; a joint that is never seen lies amid those that are.

    Shapes: (T, 17, 2) -> (T, 17, 2).
    """
    filled = np.empty_like(joints)
    frames = np.arange(len(joints))
    seen = np.isfinite(joints[:, :, 0])
    ever = seen.any(axis=0)
    for joint in np.flatnonzero(ever):
        at = seen[:, joint]
        for axis in range(2):
            filled[:, joint, axis] = np.interp(frames, frames[at], joints[at, joint, axis])
    filled[:, ~ever] = filled[:, ever].mean(axis=1, keepdims=True)
    return filled
