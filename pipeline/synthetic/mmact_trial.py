"""One trial of a fabricated MMAct tree: who does what, where its files lie and what they show.

Everything follows from the seed and the trial, so that a file's bytes never depend on the order
in which files are written or on the number of processes. This module writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from pipeline.contract import ConfigError
from pipeline.synthetic.body import Floats
from pipeline.synthetic.cameras import CAMERA_RISE_M, WALL_M, View
from pipeline.synthetic.films import MP4_HZ, mp4_bytes
from pipeline.synthetic.render import colour_film
from pipeline.synthetic.scene import Draws, Scene, stage
from pipeline.synthetic.vocabulary import read_vocabulary

MOTIONS, SPREAD = read_vocabulary("mmact")
"""By class, and classes in the order in which smaller trees take them."""
CLASSES = tuple(sorted(MOTIONS))
"""The 35 classes, by file stem."""
KINDS = ("rgb", "inertial", "skeleton", "wifi", "pressure")
"""What a tree may hold besides folders."""
MIDDLING_S = 7.0
"""Length of a middling clip of the real data, seconds."""

_ROOM = 7919  # sets the random numbers of rooms apart from those of people

Clip = tuple[int, str]
"""Camera and file stem."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MmactTrial:
    """One performance: what its sensors' bytes follow from, and the clips that show it."""

    seed: int
    subject: int
    scene: int
    session: int
    action: str
    """One of :data:`CLASSES`."""
    seconds: float
    """How long a middling trial of the tree is."""
    clips: tuple[Clip, ...]
    """What the cameras show of it."""

    def __post_init__(self) -> None:
        if self.action not in MOTIONS:
            raise ConfigError(f"class {self.action!r}: wanted one of {', '.join(CLASSES)}")
        numbers = [("subject", self.subject, 9999), ("scene", self.scene, 4)]
        numbers += [("session", self.session, 99), *(("camera", n, 4) for n, _ in self.clips)]
        for name, number, most in numbers:
            if not 1 <= number <= most:
                raise ConfigError(f"{name} {number}: wanted 1 to {most}")
        if not 0.5 <= self.seconds <= 60:
            raise ConfigError(f"seconds is {self.seconds}: wanted 0.5 to 60")

    @property
    def draws(self) -> Draws:
        """Where its random numbers come from."""
        return Draws(
            seed=self.seed,
            motion=CLASSES.index(self.action) + 1,
            subject=self.subject,
            trial=100 * self.scene + self.session,
        )

    def camera_draws(self, camera: int) -> Draws:
        """Where the random numbers of one camera come from."""
        return replace(self.draws, trial=10 * self.draws.trial + camera)

    @property
    def began(self) -> np.datetime64:
        """When it began by a right clock: one day a session, three hours a scene."""
        days = np.timedelta64(7 * self.subject + self.session, "D")
        minutes = 180 * (self.scene - 1) + 5 * CLASSES.index(self.action)
        return np.datetime64("2018-10-01T09:00:00", "us") + days + np.timedelta64(minutes, "m")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What every trial of a tree is written as."""

    kinds: tuple[str, ...] = ("rgb", "inertial")
    """Some of :data:`KINDS`."""
    width: int = 320
    height: int = 180
    wide: frozenset[str] = frozenset()
    """Irregularities of the whole tree."""
    films: Path | None = None
    """Folder with one ready film a class to link clips to, instead of filming each."""

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.kinds if kind not in KINDS]
        if unknown or not self.kinds:
            raise ConfigError(f"kinds are {list(self.kinds)}: wanted some of {list(KINDS)}")
        for name in ("width", "height"):
            if getattr(self, name) < 16 or getattr(self, name) % 2:
                raise ConfigError(f"{name} is {getattr(self, name)}: wanted 16 or more, even")

    def clip(self, top: str, trial: MmactTrial, camera: int, name: str) -> str:
        """Path of what one camera saw."""
        digits = 2 if "zero-padded" in self.wide else 1
        place = {"scene": trial.scene, "session": trial.session}
        levels = {"subject": trial.subject, "cam": camera, **place}
        order = ("cam", "scene", "subject", "session") if "level-order" in self.wide else levels
        folders = "/".join(f"{level}{levels[level]:0{digits}d}" for level in order)
        return f"{top}/{folders}/{name}"


@lru_cache(maxsize=1)
def scene_of(trial: MmactTrial) -> Scene:
    """The moving person of one trial, before any sensor looks."""
    motion = MOTIONS[trial.action].lasting(trial.seconds / MIDDLING_S)
    return stage(trial.draws, motion, shortest_s=0.8, longest_s=60.0)


def joints_of(trial: MmactTrial, n_fewer: int = 0) -> Floats:
    """The true body in every frame but the last few. Shapes: -> (T, 20, 3) metres."""
    scene = scene_of(trial)
    times = scene.frame_times_s(float(MP4_HZ))
    return scene.pose(times[: len(times) - n_fewer]).joints


def film(trial: MmactTrial, camera: int, width: int, height: int, *, n_fewer: int = 0) -> bytes:
    """What one camera recorded, as an H.264 .mp4."""
    scene = scene_of(trial)
    view = View(number=camera, width=width, height=height)
    images = colour_film(
        view.turned(joints_of(trial, n_fewer)),
        view.lens,
        scene.person,
        scene.floor_y_m - CAMERA_RISE_M,
        place=np.random.default_rng([trial.seed, _ROOM, trial.scene, camera]),
        noise=trial.camera_draws(camera).for_("rgb"),
        grain=1.0,
        wall_m=WALL_M,
    )
    return mp4_bytes(images)
