"""Fabricates a raw tree in UTD-MHAD's exact file formats.

``Inertial/ Skeleton/ Depth/ RGB/`` with names ``a{action}_s{subject}_t{trial}_...``; MAT v5 with
zlib and the keys d_iner (T, 6), d_skel (20, 3, T), d_depth (240, 320, T); .avi at 15 frames/s.
Rates are those measured in the real files: skeleton and depth at 19 frames/s, inertial at 50 Hz.
Every file's bytes follow from (seed, action, subject, trial) alone, never from order, from the
number of processes or from the date.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from pipeline.contract import ConfigError
from pipeline.synthetic.films import AVI_HZ, avi_bytes
from pipeline.synthetic.render import (
    COLOUR_CAMERA,
    DEPTH_CAMERA,
    colour_film,
    depth_millimetres,
    see,
)
from pipeline.synthetic.scene import Draws, Scene, stage
from pipeline.synthetic.sensors import read_inertial, track_joints
from pipeline.synthetic.tree import Progress, Written, mark, write_trials
from pipeline.synthetic.vocabulary import read_vocabulary

MOTIONS, _SPREAD = read_vocabulary("utd-mhad")
ACTIONS = tuple(MOTIONS)
"""The 27 classes by the motion each is; class 1 is ``ACTIONS[0]``."""
SPREAD = tuple(ACTIONS.index(name) + 1 for name in _SPREAD)
"""Actions in the order in which smaller trees take them."""

FOLDERS = {"rgb": "RGB", "depth": "Depth", "skeleton": "Skeleton", "inertial": "Inertial"}
THIGH_FROM_ACTION = 22
"""The sensor is on the right wrist below, on the right thigh from here on."""

SKELETON_HZ = 19.0
INERTIAL_HZ = 50.0

_MAT_TEXT = b"MATLAB 5.0 MAT-file, fabricated by dmft synth utd-mhad".ljust(116)


@dataclass(frozen=True, slots=True, kw_only=True)
class UtdTrial:
    """Which record: the four numbers that its bytes follow from."""

    seed: int
    action: int
    subject: int
    trial: int

    def __post_init__(self) -> None:
        if not 1 <= self.action <= len(ACTIONS):
            raise ConfigError(f"action {self.action}: wanted 1 to {len(ACTIONS)}")
        for name, least in (("subject", 1), ("trial", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} {getattr(self, name)}: wanted {least} or more")

    @property
    def id(self) -> str:
        """As UTD-MHAD names it, ``a1_s1_t1``."""
        return f"a{self.action}_s{self.subject}_t{self.trial}"

    def path(self, modality: str) -> str:
        """Path of a modality's file in the tree."""
        tail = "color.avi" if modality == "rgb" else f"{modality}.mat"
        return f"{FOLDERS[modality]}/{self.id}_{tail}"

    @property
    def draws(self) -> Draws:
        """Where its random numbers come from."""
        return Draws(seed=self.seed, motion=self.action, subject=self.subject, trial=self.trial)


def scene_of(trial: UtdTrial) -> Scene:
    """The moving person of one record, before any sensor looks."""
    return stage(trial.draws, MOTIONS[ACTIONS[trial.action - 1]])


def skeleton(scene: Scene) -> NDArray[np.float64]:
    """Tracked joints as d_skel. Shapes: -> (20, 3, T) metres, +y up."""
    joints = scene.pose(scene.frame_times_s(SKELETON_HZ)).joints
    tracked = track_joints(joints, SKELETON_HZ, 0.007, scene.draws.for_("skeleton"))
    return np.ascontiguousarray(np.moveaxis(tracked, 0, -1))


def inertial(scene: Scene) -> NDArray[np.float64]:
    """The wrist's or thigh's inertial unit as d_iner. Shapes: -> (T, 6) g and deg/s."""
    moving = scene.pose(scene.performance.grid_s)
    if ACTIONS.index(scene.motion) + 1 < THIGH_FROM_ACTION:
        place, frame = moving.joint("right_wrist"), moving.forearm
    else:
        place, frame = moving.on_thigh(0.5), moving.thigh
    n_rows = round(scene.performance.duration_s * INERTIAL_HZ)
    return read_inertial(scene, place, frame, n_rows, "inertial")


def depth(scene: Scene) -> NDArray[np.uint16]:
    """Depth images as d_depth. Shapes: -> (240, 320, T) uint16 millimetres, background 0."""
    joints = scene.pose(scene.frame_times_s(SKELETON_HZ)).joints
    noise, girth = scene.draws.for_("depth"), scene.person.body.girth
    images = np.empty((DEPTH_CAMERA.height, DEPTH_CAMERA.width, len(joints)), np.uint16, order="F")
    for index, frame in enumerate(joints):
        images[:, :, index] = depth_millimetres(see(frame, DEPTH_CAMERA, girth), noise)
    return images


def colour(scene: Scene) -> Iterator[NDArray[np.uint8]]:
    """Colour images one by one. Shapes: each (480, 640, 3) uint8."""
    joints = scene.pose(scene.frame_times_s(float(AVI_HZ))).joints
    seen = (joints, COLOUR_CAMERA, scene.person, scene.floor_y_m)
    place, noise = scene.draws.for_("room"), scene.draws.for_("rgb")
    return colour_film(*seen, place=place, noise=noise, grain=2.0)


def mat_bytes(key: str, array: NDArray[np.generic]) -> bytes:
    """A zlib-compressed MAT v5 file with one array and no date in its header."""
    buffer: Any = io.BytesIO()
    savemat(buffer, {key: array}, do_compression=True)
    content: bytes = buffer.getvalue()
    return _MAT_TEXT + content[len(_MAT_TEXT) :]


def write_trial(out: Path, trial: UtdTrial, modalities: Sequence[str]) -> Written:
    """Write one record's files."""
    scene = scene_of(trial)
    makers: dict[str, Callable[[], bytes]] = {
        "inertial": lambda: mat_bytes("d_iner", inertial(scene)),
        "skeleton": lambda: mat_bytes("d_skel", skeleton(scene)),
        "depth": lambda: mat_bytes("d_depth", depth(scene)),
        "rgb": lambda: avi_bytes(colour(scene)),
    }
    written = Written()
    for modality in modalities:
        written.put(out, trial.path(modality), makers[modality]())
    return written


def plan(*, seed: int, n_actions: int, n_subjects: int, n_trials: int) -> list[UtdTrial]:
    """The records of a tree, ordered by action, subject and trial.

    Fewer than 27 actions are the first of :data:`SPREAD`.

    Raises:
        ConfigError: a count is out of range.
    """
    counts = [("actions", n_actions, len(ACTIONS)), ("subjects", n_subjects, 999)]
    for name, count, most in (*counts, ("trials", n_trials, 999)):
        if not 1 <= count <= most:
            raise ConfigError(f"{name} is {count}: wanted 1 to {most}")
    numbers = (sorted(SPREAD[:n_actions]), range(1, n_subjects + 1), range(1, n_trials + 1))
    return [UtdTrial(seed=seed, action=a, subject=s, trial=t) for a, s, t in product(*numbers)]


def write_tree(
    out: Path,
    trials: Sequence[UtdTrial],
    modalities: Sequence[str] = tuple(FOLDERS),
    *,
    n_jobs: int | None = 1,
    progress: Progress = lambda n_bytes: None,
) -> Written:
    """Write a raw tree of fabricated records; the files do not depend on ``n_jobs``.

    Raises:
        ConfigError: an unknown modality, or none.
    """
    if not modalities or not set(modalities) <= set(FOLDERS):
        raise ConfigError(f"modalities are {list(modalities)}: wanted some of {list(FOLDERS)}")
    mark(out)
    jobs = [(out, trial, modalities) for trial in trials]
    return write_trials(write_trial, jobs, n_jobs=n_jobs, progress=progress)
