"""Reads the motions that fabricated people know: ``data_manifests/motions``, a file a data set.

The files say where hands, feet, pelvis and trunk pass, and the head of ``utd-mhad.toml`` explains
how. Here is what they cannot say in points: circles, steps, postures that are kept, and ways
taken backwards.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pipeline.common.settings import read_toml
from pipeline.synthetic.body import TRACKS
from pipeline.synthetic.motion import Keys, Motion


def read_vocabulary(data_set: str) -> tuple[Mapping[str, Motion], tuple[str, ...]]:
    """The motions of ``utd-mhad`` or ``mmact`` by name, and the order smaller trees take them in.

    Example:
        >>> read_vocabulary("utd-mhad")[0]["wave"].repeats
        (2, 4)
    """
    tables = read_motions(data_set)
    parts, motions = tables["parts"], tables["motions"]
    known = {name: motion_of(name, table, parts) for name, table in motions.items()}
    return MappingProxyType(known), tuple(tables["spread"])


def read_motions(name: str) -> dict[str, Any]:
    """One file of ``data_manifests/motions``."""
    return read_toml(name, "motions", "vocabulary")


def motion_of(name: str, table: Mapping[str, Any], parts: Mapping[str, Any]) -> Motion:
    """One motion of a file: what its table says, and what the parts do that it names.

    Raises:
        AssertionError: an entry is neither a setting nor a track, or its keys are not in order.
    """
    entries = _entries(table, parts)
    settings = {key: entries.pop(key) for key in Motion.__slots__ if key in entries}
    return Motion(name=name, cycle=entries, **settings)


def _entries(table: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """A table with nothing left to look up: settings of a :class:`Motion`, and tracks as keys."""
    entries: dict[str, Any] = {}
    for part in table.get("like", ()):
        entries |= _entries(parts[part], parts)
    for name, value in _both_sides(table).items():
        if name == "backwards":
            entries |= {
                track: tuple((1 - at, *point) for at, *point in reversed(keys))
                for track, keys in _entries(parts[value], parts).items()
                if track in TRACKS
            }
        elif name == "gait":
            entries |= _gait(**value)
        elif name == "hold":
            entries |= {track: _held(track, point) for track, point in _both_sides(value).items()}
        elif name in ("begin", "finish"):
            posture = parts[value] if isinstance(value, str) else value
            entries[name] = {track: tuple(point) for track, point in _both_sides(posture).items()}
        elif name in ("duration_s", "approach", "repeats"):
            entries[name] = tuple(value) if name == "repeats" else value
        elif name != "like":
            entries[name] = _keys(value)
    return entries


def _both_sides(table: Mapping[str, Any]) -> dict[str, Any]:
    """The same table with ``hands`` and ``feet`` as two tracks each."""
    sides = {"hands": ("left_hand", "right_hand"), "feet": ("left_foot", "right_foot")}
    return {track: value for name, value in table.items() for track in sides.get(name, (name,))}


def _keys(track: Any) -> Keys:
    """A track of the file as keys."""
    if isinstance(track, dict):  # a circle in the frontal plane from its top, as its drawer sees it
        x, y, z = track["circle"]
        width = track["radius"] if track["clockwise"] else -track["radius"]
        angles = [2 * math.pi * step / 12 for step in range(13)]
        track = [(x + width * math.sin(a), y + track["radius"] * math.cos(a), z) for a in angles]
    if isinstance(track[0], float):
        return ((0.25, *track), (0.75, *track))
    if len(track[0]) == 4:
        return tuple(tuple(key) for key in track)
    last = max(1, len(track) - 1)
    return tuple((index / last, *point) for index, point in enumerate(track))


def _held(track: str, point: list[float]) -> Keys:
    """A point that is taken and kept, left a little once where a hand can."""
    x, y, z = point
    dx, dy, dz = (0.0, 0.0, 0.0) if track in ("pelvis", "trunk") else (0.02, 0.03, -0.02)
    return ((0.0, x, y, z), (0.35, x + dx, y + dy, z + dz), (0.7, x, y, z), (1.0, x, y, z))


def _gait(stride: float, lift: float, swing: float, bend: float) -> dict[str, Keys]:
    """Steps on the spot and the arms against them: one cycle is a step of each foot."""
    down, up = (0.0, 0.0, 0.0), (0.0, lift, -stride)
    front, rear = (-0.1, bend, swing), (0.15, bend - 0.15, -0.6 * swing)
    low, left, right = (0.0, -0.03, 0.0), (-0.03, 0.02, 0.0), (0.03, 0.02, 0.0)
    return {
        "right_foot": ((0.0, *down), (0.25, *up), (0.5, *down), (0.98, *down)),
        "left_foot": ((0.0, *down), (0.5, *down), (0.75, *up), (0.98, *down)),
        "right_hand": ((0.0, *rear), (0.5, *rear), (0.75, *front), (0.98, *rear)),
        "left_hand": ((0.0, *rear), (0.25, *front), (0.5, *rear), (0.98, *rear)),
        "pelvis": ((0.0, *low), (0.25, *left), (0.5, *low), (0.75, *right), (0.98, *low)),
        "trunk": ((0.0, 0.0, 3.0, 0.0), (0.25, 7.0, 4.0, 0.0), (0.75, -7.0, 4.0, 0.0)),
    }
