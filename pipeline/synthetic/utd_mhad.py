"""Fabricates a raw tree in UTD-MHAD's exact file formats.

``Inertial/ Skeleton/ Depth/ RGB/`` with names ``a{action}_s{subject}_t{trial}_...``; MAT v5 with
zlib and the keys d_iner (T, 6), d_skel (20, 3, T), d_depth (240, 320, T); .avi at 15 frames/s.
Rates are those measured in the real files: skeleton and depth at 19 frames/s, inertial at 50 Hz.
Every file's bytes follow from (seed, action, subject, trial) alone, never from order, from the
number of processes or from the date.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from scipy.io import savemat

from pipeline.contract import ConfigError
from pipeline.synthetic.body import JOINT, Body, Pose, Stance, pose
from pipeline.synthetic.motion import GRID_HZ, Manner, Performance, Variation, perform
from pipeline.synthetic.render import (
    COLOUR_CAMERA,
    DEPTH_CAMERA,
    Wardrobe,
    colour_image,
    depth_millimetres,
    room,
    see,
)
from pipeline.synthetic.sensors import (
    InertialUnit,
    ideal_inertial,
    measure_inertial,
    track_joints,
)
from pipeline.synthetic.vocabulary import MOTIONS

ACTIONS = tuple(MOTIONS)
"""Names of the 27 classes; class 1 is ``ACTIONS[0]``."""

SPREAD = (
    *(9, 10, 3, 19, 18, 5, 23, 22),
    *(27, 4, 16, 1, 24, 25, 13, 8, 2, 6, 26, 15, 11, 20, 14, 7, 12, 17, 21),
)
"""Actions in the order in which smaller trees take them: near neighbours (circles either way,
wave and knock, push, throw) beside unlike ones (walk, jog, squat)."""

MODALITIES = ("rgb", "depth", "skeleton", "inertial")
FOLDERS = {"rgb": "RGB", "depth": "Depth", "skeleton": "Skeleton", "inertial": "Inertial"}
THIGH_FROM_ACTION = 22
"""The sensor is on the right wrist below, on the right thigh from here on."""

SKELETON_HZ = 19.0
INERTIAL_HZ = 50.0
COLOUR_HZ = 15.0

_MAT_HEADER = b"MATLAB 5.0 MAT-file, fabricated by dmft synth utd-mhad"
_MAT_TEXT_BYTES = 116


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which record: the four numbers that its bytes follow from."""

    seed: int
    action: int
    subject: int
    trial: int

    def __post_init__(self) -> None:
        if not 1 <= self.action <= len(ACTIONS):
            raise ConfigError(f"action {self.action}: wanted 1 to {len(ACTIONS)}")
        for name in ("subject", "trial"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} {getattr(self, name)}: wanted 1 or more")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed}: wanted 0 or more")

    @property
    def id(self) -> str:
        """As UTD-MHAD names it, ``a1_s1_t1``."""
        return f"a{self.action}_s{self.subject}_t{self.trial}"

    def paths(self, modality: str) -> str:
        """Path of a modality's file in the tree."""
        tail = "color.avi" if modality == "rgb" else f"{modality}.mat"
        return f"{FOLDERS[modality]}/{self.id}_{tail}"

    def draws(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose that depend on what it depends on and nothing else."""
        scope = _SCOPES[purpose]
        numbers = [getattr(self, name) if name in scope else 0 for name in _SCOPE_NAMES]
        return np.random.default_rng([self.seed, list(_SCOPES).index(purpose), *numbers])


_SCOPE_NAMES = ("action", "subject", "trial")
_SCOPES: dict[str, tuple[str, ...]] = {
    "person": ("subject",),
    "habit": ("action", "subject"),
    "trial": ("action", "subject", "trial"),
    "stance": ("action", "subject", "trial"),
    "mount": ("subject",),
    "inertial": ("action", "subject", "trial"),
    "skeleton": ("action", "subject", "trial"),
    "depth": ("action", "subject", "trial"),
    "room": (),
    "rgb": ("action", "subject", "trial"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A subject: body, manner and clothes."""

    body: Body
    manner: Manner
    wardrobe: Wardrobe


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One record before any sensor looks at it."""

    trial: Trial
    person: Person
    stance: Stance
    performance: Performance

    @property
    def n_frames(self) -> int:
        """Frames of skeleton and depth."""
        return round(self.performance.duration_s * SKELETON_HZ)

    def pose(self, times_s: NDArray[np.float64]) -> Pose:
        """The true body at given times. Shapes: (T,) seconds -> joints (T, 20, 3)."""
        return pose(self.person.body, self.stance, self.performance.at(times_s))

    def frame_times_s(self, rate_hz: float) -> NDArray[np.float64]:
        """Times of a camera's frames, in the middle of equal shares of the record."""
        n = round(self.performance.duration_s * rate_hz)
        return (np.arange(n) + 0.5) * self.performance.duration_s / n


def person(seed: int, subject: int) -> Person:
    """Subject number ``subject`` of a seed, the same in every record."""
    draw = Trial(seed=seed, action=1, subject=subject, trial=1).draws("person")
    size = 1.0 + 0.06 * float(np.clip(draw.standard_normal(), -1.8, 1.8))
    bones = {
        name: float(getattr(Body(), name) * size * np.exp(0.04 * draw.standard_normal()))
        for name in Body.__slots__
        if name != "girth"
    }
    body = Body(**bones, girth=float(np.clip(1 + 0.09 * draw.standard_normal(), 0.8, 1.25)))
    shift = 0.09 * draw.standard_normal(3)
    manner = Manner(
        speed=float(np.exp(0.13 * np.clip(draw.standard_normal(), -1.7, 1.7))),
        amplitude=float(np.clip(1 + 0.11 * draw.standard_normal(), 0.75, 1.2)),
        hand_shift=(float(shift[0]), float(shift[1]), float(shift[2])),
        skew=float(0.12 * draw.standard_normal()),
        softness_s=float(0.045 * np.exp(0.25 * draw.standard_normal())),
        trunk_share=float(9 * draw.random()),
        left_share=float(0.12 * draw.random()),
        lean_deg=float(2 + 2.5 * draw.standard_normal()),
        roll_deg=float(16 * draw.standard_normal()),
    )
    skins = ((214, 170, 140), (186, 140, 108), (150, 106, 78), (112, 78, 58))
    colours = draw.integers(25, 215, size=(3, 3)).tolist()
    wardrobe = Wardrobe(
        skin=skins[int(draw.integers(len(skins)))],
        shirt=(colours[0][0], colours[0][1], colours[0][2]),
        trousers=(colours[1][0] // 2, colours[1][1] // 2, colours[1][2] // 2),
        shoe=(colours[2][0] // 3, colours[2][1] // 3, colours[2][2] // 3),
    )
    return Person(body=body, manner=manner, wardrobe=wardrobe)


def scene(trial: Trial, variation: Variation | None = None) -> Scene:
    """The moving person of one record."""
    who = person(trial.seed, trial.subject)
    draw = trial.draws("stance")
    stance = Stance(
        yaw_deg=float(np.clip(9 * draw.standard_normal(), -25, 25)),
        x_m=float(-0.09 + 0.05 * draw.standard_normal()),
        z_m=float(np.clip(2.88 + 0.08 * draw.standard_normal(), 2.6, 3.15)),
        ankle_y_m=float(-0.99 + 0.012 * draw.standard_normal()),
        width=float(np.clip(0.03 + 0.03 * draw.standard_normal(), 0.0, 0.12)),
    )
    performance = perform(
        MOTIONS[ACTIONS[trial.action - 1]],
        who.manner,
        variation or Variation(),
        habit=trial.draws("habit"),
        trial=trial.draws("trial"),
    )
    return Scene(trial=trial, person=who, stance=stance, performance=performance)


def skeleton(view: Scene) -> NDArray[np.float64]:
    """Tracked joints as d_skel. Shapes: -> (20, 3, T) metres, +y up."""
    joints = view.pose(view.frame_times_s(SKELETON_HZ)).joints
    tracked = track_joints(joints, SKELETON_HZ, 0.007, view.trial.draws("skeleton"))
    return np.ascontiguousarray(np.moveaxis(tracked, 0, -1))


def inertial(view: Scene) -> NDArray[np.float64]:
    """The wrist's or thigh's inertial unit as d_iner. Shapes: -> (T, 6) g and deg/s."""
    moving = view.pose(view.performance.grid_s)
    if view.trial.action < THIGH_FROM_ACTION:
        place, frame = moving.joints[:, JOINT["right_wrist"]], moving.forearm
    else:
        hip, knee = moving.joints[:, JOINT["right_hip"]], moving.joints[:, JOINT["right_knee"]]
        place, frame = (hip + knee) / 2, moving.thigh
    return measure_inertial(
        ideal_inertial(place, frame, GRID_HZ),
        GRID_HZ,
        round(view.performance.duration_s * INERTIAL_HZ),
        InertialUnit(),
        mount=view.trial.draws("mount"),
        noise=view.trial.draws("inertial"),
    )


def depth(view: Scene) -> NDArray[np.uint16]:
    """Depth images as d_depth. Shapes: -> (240, 320, T) uint16 millimetres, background 0."""
    joints = view.pose(view.frame_times_s(SKELETON_HZ)).joints
    noise = view.trial.draws("depth")
    girth = view.person.body.girth
    images = np.empty((DEPTH_CAMERA.height, DEPTH_CAMERA.width, len(joints)), np.uint16, order="F")
    for index, frame in enumerate(joints):
        images[:, :, index] = depth_millimetres(see(frame, DEPTH_CAMERA, girth), noise)
    return images


def colour(view: Scene) -> Iterable[NDArray[np.uint8]]:
    """Colour images one by one. Shapes: each (480, 640, 3) uint8."""
    joints = view.pose(view.frame_times_s(COLOUR_HZ)).joints
    background = room(COLOUR_CAMERA, view.stance.ankle_y_m - 0.1, view.trial.draws("room"))
    noise = view.trial.draws("rgb")
    shape = (COLOUR_CAMERA.height, COLOUR_CAMERA.width)
    grain = np.round(2.0 * noise.standard_normal(shape)).astype(np.int16)
    for frame in joints:
        shift = (int(noise.integers(shape[0])), int(noise.integers(shape[1])))
        surface = see(frame, COLOUR_CAMERA, view.person.body.girth)
        moved = np.roll(grain, shift, axis=(0, 1))
        yield colour_image(surface, background, view.person.wardrobe, moved)


def mat_bytes(key: str, array: NDArray[np.generic]) -> bytes:
    """A zlib-compressed MAT v5 file with one array and no date in its header."""
    buffer: Any = io.BytesIO()
    savemat(buffer, {key: array}, do_compression=True)
    content: bytes = buffer.getvalue()
    return _MAT_HEADER.ljust(_MAT_TEXT_BYTES) + content[_MAT_TEXT_BYTES:]


def avi_bytes(images: Iterable[NDArray[np.uint8]]) -> bytes:
    """An MPEG-4 .avi at 15 frames/s. Shapes: each image (480, 640, 3) uint8."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="avi", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("mpeg4", rate=Fraction(round(COLOUR_HZ)))
        stream.width, stream.height = COLOUR_CAMERA.width, COLOUR_CAMERA.height
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 2_500_000
        stream.codec_context.thread_count = 1
        stream.codec_context.options = {"flags": "+bitexact", "g": "15"}
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def write_record(out: Path, trial: Trial, modalities: Sequence[str]) -> int:
    """Write one record's files; folders must exist.

    Returns:
        Bytes written.
    """
    view = scene(trial)
    makers: dict[str, Callable[[], bytes]] = {
        "inertial": lambda: mat_bytes("d_iner", inertial(view)),
        "skeleton": lambda: mat_bytes("d_skel", skeleton(view)),
        "depth": lambda: mat_bytes("d_depth", depth(view)),
        "rgb": lambda: avi_bytes(colour(view)),
    }
    written = 0
    for modality in modalities:
        content = makers[modality]()
        (out / trial.paths(modality)).write_bytes(content)
        written += len(content)
    return written


def plan(*, seed: int, n_actions: int, n_subjects: int, n_trials: int) -> list[Trial]:
    """The records of a tree, ordered by action, subject and trial.

    Fewer than 27 actions are the first of :data:`SPREAD`.

    Raises:
        ConfigError: a count is out of range.
    """
    for name, count, most in (
        ("actions", n_actions, len(ACTIONS)),
        ("subjects", n_subjects, 999),
        ("trials", n_trials, 999),
    ):
        if not 1 <= count <= most:
            raise ConfigError(f"{name} is {count}: wanted 1 to {most}")
    return [
        Trial(seed=seed, action=action, subject=subject, trial=number)
        for action in sorted(SPREAD[:n_actions])
        for subject in range(1, n_subjects + 1)
        for number in range(1, n_trials + 1)
    ]


def write_tree(
    out: Path,
    trials: Sequence[Trial],
    modalities: Sequence[str] = MODALITIES,
    *,
    n_jobs: int = 1,
    progress: Callable[[int], None] = lambda written: None,
) -> int:
    """Write a raw tree of fabricated records.

    Args:
        out: Folder to write into, made where absent.
        trials: From :func:`plan`.
        modalities: Some of :data:`MODALITIES`.
        n_jobs: Processes; the files do not depend on it.
        progress: Called after each record with its bytes.

    Returns:
        Bytes written.

    Raises:
        ConfigError: an unknown modality, or none.
    """
    unknown = [name for name in modalities if name not in MODALITIES]
    if unknown or not modalities:
        raise ConfigError(f"modalities are {list(modalities)}: wanted some of {list(MODALITIES)}")
    for modality in modalities:
        (out / FOLDERS[modality]).mkdir(parents=True, exist_ok=True)
    total = 0
    if n_jobs == 1 or len(trials) == 1:
        for trial in trials:
            written = write_record(out, trial, modalities)
            total += written
            progress(written)
        return total
    workers = min(n_jobs, len(trials), os.cpu_count() or 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(write_record, out, trial, modalities) for trial in trials]
        for done in as_completed(waiting):
            total += done.result()
            progress(done.result())
    return total
