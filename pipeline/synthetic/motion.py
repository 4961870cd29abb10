"""Motions as data, and a person's performance of one as smooth tracks over time.

A :class:`Motion` says where hands, feet, pelvis and trunk pass; a :class:`Manner` says how one
person does things; :func:`perform` adds what differs from trial to trial. The tracks drive
:func:`pipeline.synthetic.body.pose`. This module knows no data set.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import gaussian_filter1d

from pipeline.synthetic.body import TRACKS, Floats, Point

GRID_HZ = 200.0
"""Rate at which motions are computed; every sensor reads between its points."""

Keys = tuple[tuple[float, float, float, float], ...]
"""Points of a track: the place of each in the cycle, 0 to 1, and its value."""

# How much performances of one motion differ: standard deviations.
_HABIT = 0.09  # of one person's own way with one motion, in every key, arm or leg lengths
_TRIAL = 0.04  # of the same keys from trial to trial
_TIMING = 0.06  # of a key's time within its cycle, as a share of the gap to the next
_LENGTH = 0.08  # of the record's duration, relative
_START = 0.07  # of the moment the motion begins, as a share of the record
_IDLE = 0.35  # of where an idle left hand is held, arm lengths, and of the posture
_SWAY = 0.012  # of slow unrest in all tracks, arm or leg lengths
_UNITS = {
    "trunk": (60.0, 45.0),
    "forearm_roll": (90.0, 45.0),
    "pelvis": (0.3, 1.0),
    "right_foot": (0.3, 0.2),
    "left_foot": (0.3, 0.2),
}
"""One unit of variation and one of unrest: degrees for turns, less where weight rests, else 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """One class of motion: what everyone who performs it has in common."""

    name: str
    cycle: Mapping[str, Keys]
    """Keys of one repetition of each track that moves; see :data:`TRACKS` for their units."""
    duration_s: float = 3.5
    """Typical length with the rest before and after."""
    repeats: tuple[int, int] = (1, 1)
    """Fewest and most repetitions of the cycle."""
    approach: float = 0.21
    """Share of the record from rest to the cycle's first key, and back again at the end."""
    begin: Mapping[str, Point] = field(default_factory=dict)
    """Tracks that rest elsewhere before the motion (sitting)."""
    finish: Mapping[str, Point] = field(default_factory=dict)
    """Tracks that rest elsewhere after the motion."""
    travel: Keys = ()
    """Way over the floor: shares of the record, each with (right m, forward m, turn to the left
    in degrees) from where the person stands at first; empty where they stay."""

    def __post_init__(self) -> None:
        for track, keys in self.cycle.items():
            times = [time for time, *_ in keys]
            assert track in TRACKS, f"{self.name}: no track {track!r}"
            assert times == sorted(set(times)), f"{self.name}: keys of {track} are not in order"
            assert min(times) >= 0, f"{self.name}: {track} begins before its cycle"
            assert max(times) <= 1, f"{self.name}: {track} ends after its cycle"
        assert 1 <= self.repeats[0] <= self.repeats[1]

    def lasting(self, scale: float) -> Motion:
        """The same motion in a record of another length, at about its own pace."""
        fewest, most = (max(1, round(count * scale)) for count in self.repeats)
        return replace(self, duration_s=self.duration_s * scale, repeats=(fewest, most))


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """How one person moves, whatever the motion."""

    speed: float
    """Faster than 1 makes records shorter."""
    amplitude: float
    """Scale of the way from rest."""
    hand_shift: Point
    """Where this person's hands go instead: outward, up, forward, arm lengths."""
    skew: float
    """Above 0 hurries the start of a motion and takes time at its end."""
    softness_s: float
    """Smoothing of the corners of a path: standard deviation in time."""
    trunk_share: float
    """Degrees by which the trunk turns with the right hand, per arm length outward."""
    left_share: float
    """How much of the right hand's way an idle left hand goes along."""
    lean_deg: float
    """Forward lean when standing."""
    roll_deg: float
    """How the right forearm is held about itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """One performance of a motion: tracks on a regular grid of :data:`GRID_HZ`.

    Shapes: every track (G, 3), floor (G, 3).
    """

    tracks: Mapping[str, Floats]
    duration_s: float
    floor: Floats | None = None
    """Way over the floor as :attr:`Motion.travel` has it; nothing where the person stays."""

    @property
    def grid_s(self) -> Floats:
        """Times of the grid. Shapes: (G,), seconds."""
        return np.arange(len(self.tracks["pelvis"])) / GRID_HZ


def perform(
    motion: Motion,
    manner: Manner,
    *,
    shortest_s: float,
    longest_s: float,
    habit: np.random.Generator,
    trial: np.random.Generator,
) -> Performance:
    """One person's performance of a motion.

    ``habit`` draws what is this person's own about it, the same for all their trials, and
    ``trial`` what differs in this one.
    """
    own_speed = manner.speed * np.exp(0.06 * habit.standard_normal())
    duration = motion.duration_s / own_speed * np.exp(_LENGTH * trial.standard_normal())
    duration = float(np.clip(duration, shortest_s, longest_s))
    n_grid = round(duration * GRID_HZ) + 1
    fewest, most = motion.repeats
    repeats = int(habit.integers(fewest, most + 1))
    if most > fewest and trial.random() < 0.3:
        repeats = min(most, max(fewest, repeats + int(trial.choice([-1, 1]))))

    begin = float(np.clip(0.11 + _START * trial.standard_normal(), 0.05, 0.24))
    end = float(np.clip(0.9 + _START * trial.standard_normal(), 0.76, 0.95))
    first, last = begin + motion.approach * (end - begin), end - motion.approach * (end - begin)
    warp = manner.skew + 0.5 * _START * trial.standard_normal()
    scale = manner.amplitude * np.exp(_TRIAL * trial.standard_normal())

    cycles = {}  # each track's keys as this person has them
    for name in sorted(motion.cycle):
        keys = np.array(motion.cycle[name])
        own = habit.standard_normal(3) * 0.7
        own = own + 0.7 * habit.standard_normal((len(keys), 3))
        cycles[name] = keys[:, 0], keys[:, 1:] + _unit(name) * _HABIT * own
    tracks: dict[str, Floats] = {}
    idle = _IDLE * (0.6 * habit.standard_normal(5) + 0.8 * trial.standard_normal(5))
    for name, rest in TRACKS.items():
        start_rest = np.array(motion.begin.get(name, rest))
        end_rest = np.array(motion.finish.get(name, rest))
        times, values = [[0.0, begin]], [start_rest, start_rest]
        for turn in range(repeats if name in cycles else 0):
            places, goals = _trial_keys(*cycles[name], _unit(name), trial)
            shares = (turn + places) / repeats
            shares = shares + warp * np.sin(np.pi * shares) / np.pi
            goals = np.array(rest) + scale * (goals - np.array(rest))
            if name.endswith("hand"):
                goals = goals + np.array(manner.hand_shift)
            times.append((first + shares * (last - first)).tolist())
            values += list(goals)
        times.append([end, 1.0])
        values += [end_rest, end_rest]
        tracks[name] = _smooth(np.concatenate(times), np.array(values), n_grid, manner.softness_s)

    _accompany(tracks, motion, manner, idle)
    n_knots = max(4, round(duration * 1.5))
    for name, track in tracks.items():  # slow smooth unrest
        knots = _SWAY * trial.standard_normal((n_knots, 3))
        unrest = _smooth(np.linspace(0, 1, n_knots), knots, n_grid, 0.15)
        tracks[name] = track + _UNITS.get(name, (1.0, 1.0))[1] * unrest
    floor = _way(motion, manner, trial, n_grid) if motion.travel else None
    return Performance(tracks=tracks, duration_s=duration, floor=floor)


def between(track: Floats, times_s: Floats) -> Floats:
    """A track of the grid read between its points. Shapes: (G, 3), (T,) seconds -> (T, 3)."""
    position = np.clip(times_s * GRID_HZ, 0, len(track) - 1)
    left = np.minimum(position.astype(np.int64), len(track) - 2)
    share = (position - left)[:, None]
    return np.asarray(track[left] * (1 - share) + track[left + 1] * share)


def _way(motion: Motion, manner: Manner, trial: np.random.Generator, n_grid: int) -> Floats:
    """Where the person is on the floor. Shapes: -> (n_grid, 3) metres right, forward; degrees."""
    times, values = np.array(motion.travel)[:, 0], np.array(motion.travel)[:, 1:]
    reach = manner.amplitude * np.exp(0.08 * trial.standard_normal(3))
    values = values * reach + np.abs(values) * 0.08 * trial.standard_normal(values.shape)
    times = np.concatenate([[0.0], times, [1.0]])
    return _smooth(times, np.pad(values, ((1, 1), (0, 0)), "edge"), n_grid, 0.12)


def _trial_keys(
    places: Floats, values: Floats, unit: float, trial: np.random.Generator
) -> tuple[Floats, Floats]:
    """A person's keys as they come out this time. Shapes: (K,), (K, 3) -> the same."""
    places = places.copy()
    if len(places) > 1:
        gap = float(np.diff(places).min())
        jitter = np.clip(_TIMING * trial.standard_normal(len(places)), -0.3, 0.3)
        places[1:-1] += (gap * jitter)[1:-1]
    return places, values + unit * _TRIAL * trial.standard_normal(values.shape)


def _unit(track: str) -> float:
    return _UNITS.get(track, (1.0, 1.0))[0]


def _smooth(times: Floats, values: Floats, n_grid: int, softness_s: float) -> Floats:
    """A path through keys: monotone between them, its corners rounded."""
    kept = np.concatenate([np.diff(times) > 1e-6, [True]])
    path = PchipInterpolator(times[kept], values[kept])(np.linspace(0.0, 1.0, n_grid))
    return np.asarray(gaussian_filter1d(path, softness_s * GRID_HZ, axis=0, mode="nearest"))


def _accompany(tracks: dict[str, Floats], motion: Motion, manner: Manner, idle: Floats) -> None:
    """Let the trunk and an idle left hand go along with the right hand, each held in its way.

    Shapes: idle (5,), the left hand's place and the trunk's lean and turn.
    """
    way = tracks["right_hand"] - np.array(TRACKS["right_hand"])
    tracks["trunk"][:, 0] -= manner.trunk_share * way[:, 0]
    tracks["trunk"][:, :2] += 16.0 * idle[3:]
    tracks["trunk"][:, 1] += manner.lean_deg
    tracks["forearm_roll"][:, 0] += manner.roll_deg
    if "left_hand" not in motion.cycle:
        tracks["left_hand"] += idle[:3] * np.array([0.7, 0.0, 1.0]) + [0.0, abs(idle[1]), 0.0]
        tracks["left_hand"] += manner.left_share * np.abs(way) * np.array([0.5, 1.0, 1.0])
