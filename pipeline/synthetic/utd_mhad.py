"""Fabricates a raw tree in UTD-MHAD's exact file formats.

``Inertial/ Skeleton/ Depth/ RGB/`` with names ``a{action}_s{subject}_t{trial}_...``; MAT v5 with
zlib and the keys d_iner (T, 6), d_skel (20, 3, T), d_depth (240, 320, T); .avi at 15 frames/s.
Rates are those measured in the real files: skeleton and depth at 19 frames/s, inertial at 50 Hz.
Every file's bytes follow from (seed, action, subject, trial) alone, never from order, from the
number of processes or from the date.
"""

from __future__ import annotations

import io
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

from pipeline.common.cores import n_cores
from pipeline.contract import ConfigError
from pipeline.synthetic.body import JOINT
from pipeline.synthetic.motion import GRID_HZ, Variation
from pipeline.synthetic.render import (
    COLOUR_CAMERA,
    DEPTH_CAMERA,
    colour_image,
    depth_millimetres,
    grainy,
    room,
    see,
)
from pipeline.synthetic.scene import Draws, Scene, stage
from pipeline.synthetic.sensors import (
    InertialUnit,
    ideal_inertial,
    measure_inertial,
    track_joints,
)
from pipeline.synthetic.vocabulary import read_vocabulary

_VOCABULARY = read_vocabulary("utd-mhad")
MOTIONS = _VOCABULARY.motions
ACTIONS = tuple(MOTIONS)
"""The 27 classes by the motion each is; class 1 is ``ACTIONS[0]``."""
SPREAD = tuple(ACTIONS.index(name) + 1 for name in _VOCABULARY.spread)
"""Actions in the order in which smaller trees take them."""

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

    def path(self, modality: str) -> str:
        """Path of a modality's file in the tree."""
        tail = "color.avi" if modality == "rgb" else f"{modality}.mat"
        return f"{FOLDERS[modality]}/{self.id}_{tail}"

    @property
    def draws(self) -> Draws:
        """Where its random numbers come from."""
        return Draws(seed=self.seed, motion=self.action, subject=self.subject, trial=self.trial)


def scene(trial: Trial, variation: Variation | None = None) -> Scene:
    """The moving person of one record, before any sensor looks."""
    return stage(trial.draws, MOTIONS[ACTIONS[trial.action - 1]], variation or Variation())


def skeleton(view: Scene) -> NDArray[np.float64]:
    """Tracked joints as d_skel. Shapes: -> (20, 3, T) metres, +y up."""
    joints = view.pose(view.frame_times_s(SKELETON_HZ)).joints
    tracked = track_joints(joints, SKELETON_HZ, 0.007, view.draws.for_("skeleton"))
    return np.ascontiguousarray(np.moveaxis(tracked, 0, -1))


def inertial(view: Scene) -> NDArray[np.float64]:
    """The wrist's or thigh's inertial unit as d_iner. Shapes: -> (T, 6) g and deg/s."""
    moving = view.pose(view.performance.grid_s)
    if ACTIONS.index(view.motion) + 1 < THIGH_FROM_ACTION:
        place, frame = moving.joints[:, JOINT["right_wrist"]], moving.forearm
    else:
        hip, knee = moving.joints[:, JOINT["right_hip"]], moving.joints[:, JOINT["right_knee"]]
        place, frame = (hip + knee) / 2, moving.thigh
    return measure_inertial(
        ideal_inertial(place, frame, GRID_HZ),
        GRID_HZ,
        round(view.performance.duration_s * INERTIAL_HZ),
        InertialUnit(),
        mount=view.draws.for_("mount"),
        noise=view.draws.for_("inertial"),
    )


def depth(view: Scene) -> NDArray[np.uint16]:
    """Depth images as d_depth. Shapes: -> (240, 320, T) uint16 millimetres, background 0."""
    joints = view.pose(view.frame_times_s(SKELETON_HZ)).joints
    noise = view.draws.for_("depth")
    girth = view.person.body.girth
    images = np.empty((DEPTH_CAMERA.height, DEPTH_CAMERA.width, len(joints)), np.uint16, order="F")
    for index, frame in enumerate(joints):
        images[:, :, index] = depth_millimetres(see(frame, DEPTH_CAMERA, girth), noise)
    return images


def colour(view: Scene) -> Iterable[NDArray[np.uint8]]:
    """Colour images one by one. Shapes: each (480, 640, 3) uint8."""
    joints = view.pose(view.frame_times_s(COLOUR_HZ)).joints
    background = room(COLOUR_CAMERA, view.stance.ankle_y_m - 0.1, view.draws.for_("room"))
    noise = view.draws.for_("rgb")
    lit = background * float(np.clip(1 + 0.05 * noise.standard_normal(), 0.85, 1.15))
    # Four grains in turn look alive to a network and cost a twentieth of one a frame.
    rooms = [grainy(np.clip(lit, 0, 255).astype(np.uint8), 2.0, noise) for _ in range(4)]
    for index, frame in enumerate(joints):
        surface = see(frame, COLOUR_CAMERA, view.person.body.girth)
        yield colour_image(surface, rooms[index % 4], view.person.wardrobe)


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
        (out / trial.path(modality)).write_bytes(content)
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
    workers = min(n_jobs, len(trials), n_cores())
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        waiting = [pool.submit(write_record, out, trial, modalities) for trial in trials]
        for done in as_completed(waiting):
            total += done.result()
            progress(done.result())
    return total
