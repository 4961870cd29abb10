"""Joints in space of a BVH file: bodies of bones whose angles are given frame by frame.

The file's hierarchy says how long each bone is and from which joint it goes on, its motion how each
is turned. Where a joint is follows from its parent's place: the offset, or the position's channels
in its place where it has any, turned as the parent is. A joint is turned by its rotation's
channels, in degrees, in the order in which they are listed, each about an axis that those before
have turned.

Numbers are in the file's own unit, which no BVH states.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from pipeline.common.words import first_of
from pipeline.contract import RecordingError, StreamRef
from pipeline.readers.delimited import Rows
from pipeline.readers.limits import Limits

MAX_JOINTS = 1000
MAX_BYTES = 256 << 20
MAX_PLACES = 50_000_000
"""Joints times frames."""
BLOCK_FRAMES = 4096
_AXES = "XYZ"
_CHANNELS = tuple(f"{axis}{what}" for what in ("position", "rotation") for axis in _AXES)


@dataclass(slots=True)
class _Joint:
    name: str
    parent: int | None
    """Place of the joint that it hangs on."""
    offset: tuple[float, ...] = ()
    channels: list[str] = field(default_factory=list)


def read_bvh(content: bytes, joints: Sequence[str], ref: StreamRef) -> Rows:
    """Places of the joints that are asked for, in their order, three numbers each.

    Raises:
        RecordingError: no BVH, damaged, cut short, a joint that is not there, more frames than a
            recording has; by the line.
    """
    lines = _Lines(content, ref)
    bones = _hierarchy(lines)
    known = [bone.name for bone in bones]
    if missing := [joint for joint in joints if joint not in known]:
        raise ref.refuse(f"has no joint {missing[0]!r}: it has {first_of(known, 60)}", "read")
    n_frames, step_s = _timing(lines)
    if n_frames * len(bones) > MAX_PLACES:
        raise ref.refuse(
            f"holds {len(bones)} joints in {n_frames} frames: wanted at most {MAX_PLACES} in all"
        )
    motion = _motion(lines, n_frames, sum(len(bone.channels) for bone in bones))
    values = np.empty((n_frames, len(joints), 3))
    for start in range(0, n_frames, BLOCK_FRAMES):
        block = slice(start, start + BLOCK_FRAMES)
        places = _places(bones, motion[block])
        for place, joint in enumerate(joints):
            values[block, place] = places[known.index(joint)]
    return Rows(
        values=values.reshape(n_frames, -1), times_s=np.arange(n_frames, dtype=np.float64) * step_s
    )


class _Lines:
    """Lines that hold something, one after the other."""

    def __init__(self, content: bytes, ref: StreamRef) -> None:
        self.ref = ref
        most = Limits.of_environment().rows
        if len(content) > MAX_BYTES or content.count(b"\n") > most:
            raise ref.refuse(
                f"holds {content.count(10)} lines in {len(content)} bytes: wanted at most {most} "
                f"(DMFT_MAX_ROWS sets it) and {MAX_BYTES} bytes"
            )
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ref.refuse(f"is no BVH, but bytes that are no text: {error}", "open") from error
        self._all = [(n, line) for n, line in enumerate(text.splitlines(), 1) if line.strip()]
        self._next = 0

    def refuse(self, found: str, wanted: str) -> RecordingError:
        """The error of the line that was read last."""
        number = self._all[min(self._next, len(self._all)) - 1][0] if self._all else 0
        return self.ref.refuse(f"line {number} {found}: wanted {wanted}", "read")

    def words(self, wanted: str) -> list[str]:
        """Words of the next line."""
        if self._next == len(self._all):
            raise self.refuse("is the last", wanted)
        self._next += 1
        return self._all[self._next - 1][1].split()

    def rest(self) -> list[tuple[int, str]]:
        """The lines that are left, with their numbers."""
        return self._all[self._next :]

    def numbers(self, words: list[str], n: int) -> tuple[float, ...]:
        """So many finite numbers."""
        try:
            found = tuple(map(float, words))
        except ValueError:
            found = ()
        if len(found) != n or not all(map(math.isfinite, found)):
            raise self.refuse(f"says {' '.join(words)[:60]!r}", f"{n} finite numbers")
        return found


def _hierarchy(lines: _Lines) -> list[_Joint]:
    """The joints in the order of their channels, parents before children."""
    if (first := lines.words("HIERARCHY")) != ["HIERARCHY"]:
        raise lines.refuse(f"begins with {' '.join(first)[:40]!r}", "HIERARCHY, as BVH does")
    bones: list[_Joint] = []
    opened: list[int | None] = []  # places of joints that are not closed yet, None for an end
    while True:
        match lines.words("the hierarchy's end, MOTION"):
            case ["ROOT", *name] if not bones and name:
                opened.append(_begin(lines, bones, " ".join(name), None))
            case ["JOINT", *name] if opened and opened[-1] is not None and name:
                opened.append(_begin(lines, bones, " ".join(name), opened[-1]))
            case ["End", "Site"] if opened and opened[-1] is not None:
                _open(lines)
                opened.append(None)
            case ["OFFSET", *numbers] if opened:
                offset = lines.numbers(numbers, 3)
                if opened[-1] is not None:
                    bones[opened[-1]].offset = offset
            case ["CHANNELS", n, *names] if opened and opened[-1] is not None:
                if n != str(len(names)) or len({*names} & {*_CHANNELS}) != len(names):
                    raise lines.refuse(
                        f"says {n} channels, {' '.join(names)[:80]}",
                        f"as many as are named, each once, of {' '.join(_CHANNELS)}",
                    )
                bones[opened[-1]].channels = names
            case ["}"] if opened:
                opened.pop()
            case ["MOTION"] if bones and not opened:
                break
            case other:
                raise lines.refuse(f"says {' '.join(other)[:60]!r}", "the next part of one body")
    for bone in bones:
        if not bone.offset:
            raise lines.refuse(f"ends a hierarchy whose joint {bone.name!r} has no OFFSET", "one")
    return bones


def _begin(lines: _Lines, bones: list[_Joint], name: str, parent: int | None) -> int:
    if name in (bone.name for bone in bones) or len(bones) == MAX_JOINTS:
        raise lines.refuse(f"has the joint {name!r}", f"each once, and at most {MAX_JOINTS}")
    _open(lines)
    bones.append(_Joint(name, parent))
    return len(bones) - 1


def _open(lines: _Lines) -> None:
    if (words := lines.words("{")) != ["{"]:
        raise lines.refuse(f"says {' '.join(words)[:60]!r}", "{")


def _timing(lines: _Lines) -> tuple[int, float]:
    """Number of frames, and seconds from one to the next."""
    match lines.words("Frames: and their number"):
        case ["Frames:", n] if n.isascii() and n.isdecimal() and len(n) < 10:
            n_frames = int(n)
        case other:
            raise lines.refuse(f"says {' '.join(other)[:60]!r}", "Frames: and their number")
    match lines.words("Frame Time: and seconds"):
        case ["Frame", "Time:", seconds]:
            (step_s,) = lines.numbers([seconds], 1)
        case other:
            raise lines.refuse(f"says {' '.join(other)[:60]!r}", "Frame Time: and seconds")
    if not 1e-5 <= step_s <= 100:
        raise lines.refuse(f"says a frame takes {step_s:g} s", "0.00001 to 100 s")
    return n_frames, step_s


def _motion(lines: _Lines, n_frames: int, n_channels: int) -> NDArray[np.float64]:
    """Channels frame by frame; NaN where the file says so.

    Shapes: returns (T, C).
    """
    rest = lines.rest()
    if len(rest) != n_frames:
        raise lines.ref.refuse(
            f"has {len(rest)} rows of motion: wanted the {n_frames} that it says in Frames:", "read"
        )
    made = np.empty((n_frames, n_channels))
    for frame, (number, line) in enumerate(rest):
        words = line.split()
        try:
            if len(words) != n_channels or "_" in line:
                raise ValueError
            made[frame] = [*map(float, words)]
        except ValueError as error:
            raise lines.ref.refuse(
                f"line {number}, frame {frame + 1}, says {len(words)} values, {line.strip()[:40]}: "
                f"wanted {n_channels} numbers, one a channel",
                "read",
            ) from error
    return made


def _places(bones: list[_Joint], motion: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Where each joint is, frame by frame.

    Shapes: motion (T, C); returns J times (T, 3).
    """
    places: list[NDArray[np.float64]] = []
    turned: list[NDArray[np.float64]] = []
    column = 0
    for bone in bones:
        local = np.tile(np.array(bone.offset), (len(motion), 1))
        turn = np.tile(np.eye(3), (len(motion), 1, 1))
        for channel in bone.channels:
            values, axis = motion[:, column], _AXES.index(channel[0])
            column += 1
            if channel.endswith("position"):
                local[:, axis] = values
            else:
                turn = turn @ _about(axis, np.radians(values))
        if bone.parent is None:
            places.append(local)
            turned.append(turn)
        else:
            above = turned[bone.parent]
            places.append(places[bone.parent] + (above @ local[:, :, None])[:, :, 0])
            turned.append(above @ turn)
    return places


def _about(axis: int, angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turns about one axis, right-handed.

    Shapes: (T,) -> (T, 3, 3).
    """
    made = np.tile(np.eye(3), (len(angles), 1, 1))
    one, other = (axis + 1) % 3, (axis + 2) % 3
    with np.errstate(invalid="ignore"):  # what is not finite is found among the places
        made[:, one, one] = made[:, other, other] = np.cos(angles)
        made[:, other, one] = np.sin(angles)
    made[:, one, other] = -made[:, other, one]
    return made
