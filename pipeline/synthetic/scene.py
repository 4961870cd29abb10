"""Who moves where: a subject, their stance and their performance, before any sensor looks.

Everything is drawn from numbers that name it (:class:`Draws`), so that a person is the same in
all their records and a record is the same whenever it is made. This module knows no data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.synthetic.body import Body, Floats, Pose, Stance, carry, pose
from pipeline.synthetic.motion import Manner, Motion, Performance, between, perform

Colour = tuple[int, ...]
"""Red, green, blue, each 0 to 255."""

_PURPOSES = (
    *("person", "habit", "trial", "stance", "mount", "inertial", "skeleton", "depth", "room"),
    *("rgb", "phone", "watch", "clock", "keypoints", "surroundings", "faults"),
)
"""What random numbers are for; append, never reorder."""
_SHARED = {
    "person": ("subject",),
    "habit": ("motion", "subject"),
    "mount": ("subject",),
    "room": (),
}
"""What the numbers of a purpose depend on besides the seed where not on the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draws:
    """The four numbers from which everything random in a record follows."""

    seed: int
    motion: int
    """The motion's number in its data set."""
    subject: int
    trial: int

    def for_(self, purpose: str) -> np.random.Generator:
        """Random numbers for one purpose, that depend on what it depends on and nothing else."""
        names = ("motion", "subject", "trial")
        scope = _SHARED.get(purpose, names)
        numbers = [getattr(self, name) if name in scope else 0 for name in names]
        return np.random.default_rng([self.seed, _PURPOSES.index(purpose), *numbers])


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A subject."""

    body: Body
    manner: Manner
    wardrobe: Mapping[str, Colour]
    """What is seen of them: ``skin``, ``shirt``, ``trousers`` and ``shoe``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One record before any sensor looks at it."""

    draws: Draws
    motion: str
    """Name of what is performed."""
    person: Person
    stance: Stance
    performance: Performance

    def pose(self, times_s: Floats) -> Pose:
        """The true body at given times. Shapes: (T,) seconds -> joints (T, 20, 3)."""
        made = self.performance
        tracks = {name: between(track, times_s) for name, track in made.tracks.items()}
        standing = pose(self.person.body, self.stance, tracks)
        if made.floor is None:
            return standing
        return carry(standing, self.stance, between(made.floor, times_s))

    @property
    def floor_y_m(self) -> float:
        """Height of the floor, a foot's height below the ankles."""
        return self.stance.ankle_y_m - 0.1

    def frame_times_s(self, rate_hz: float) -> Floats:
        """Times of a camera's frames, in the middle of equal shares of the record."""
        n = round(self.performance.duration_s * rate_hz)
        return (np.arange(n) + 0.5) * self.performance.duration_s / n


def person(draws: Draws) -> Person:
    """The subject of a record, the same in every record of theirs."""
    draw = draws.for_("person")
    size = 1.0 + 0.06 * float(np.clip(draw.standard_normal(), -1.8, 1.8))
    bones = {
        name: float(getattr(Body(), name) * size * np.exp(0.04 * draw.standard_normal()))
        for name in Body.__slots__
        if name != "girth"
    }
    body = Body(**bones, girth=float(np.clip(1 + 0.09 * draw.standard_normal(), 0.8, 1.25)))
    shift_x, shift_y, shift_z = (0.09 * draw.standard_normal(3)).tolist()
    manner = Manner(
        speed=float(np.exp(0.13 * np.clip(draw.standard_normal(), -1.7, 1.7))),
        amplitude=float(np.clip(1 + 0.11 * draw.standard_normal(), 0.75, 1.2)),
        hand_shift=(shift_x, shift_y, shift_z),
        skew=float(0.12 * draw.standard_normal()),
        softness_s=float(0.045 * np.exp(0.25 * draw.standard_normal())),
        trunk_share=float(9 * draw.random()),
        left_share=float(0.12 * draw.random()),
        lean_deg=float(2 + 2.5 * draw.standard_normal()),
        roll_deg=float(16 * draw.standard_normal()),
    )
    skins = ((214, 170, 140), (186, 140, 108), (150, 106, 78), (112, 78, 58))
    colours = draw.integers(25, 215, size=(3, 3)) // np.array([[1], [2], [3]])
    wardrobe = {"skin": skins[int(draw.integers(len(skins)))]}
    wardrobe |= dict(zip(("shirt", "trousers", "shoe"), map(tuple, colours.tolist()), strict=True))
    return Person(body=body, manner=manner, wardrobe=wardrobe)


def stage(
    draws: Draws, motion: Motion, *, shortest_s: float = 2.2, longest_s: float = 6.4
) -> Scene:
    """The moving person of one record, between two lengths however fast or slow they are."""
    who = person(draws)
    draw = draws.for_("stance")
    stance = Stance(
        yaw_deg=float(np.clip(13 * draw.standard_normal(), -30, 30)),
        x_m=float(-0.09 + 0.05 * draw.standard_normal()),
        z_m=float(np.clip(2.88 + 0.08 * draw.standard_normal(), 2.6, 3.15)),
        ankle_y_m=float(-0.99 + 0.012 * draw.standard_normal()),
        width=float(np.clip(0.03 + 0.03 * draw.standard_normal(), 0.0, 0.12)),
    )
    habit, trial = draws.for_("habit"), draws.for_("trial")
    made = perform(
        motion, who.manner, shortest_s=shortest_s, longest_s=longest_s, habit=habit, trial=trial
    )
    return Scene(draws=draws, motion=motion.name, person=who, stance=stance, performance=made)
