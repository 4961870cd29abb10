"""What a modality's columns are in space: which three are one point or axis, what hangs on what.

Read from the names that the cache gives its columns. It draws nothing and changes nothing;
``augment`` turns, shears and stretches what is found here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

_AXES = ("x", "y", "z")
_PERSON = re.compile(r"person\d+_")
_SIDE = re.compile(r"(left|right)_")
_PARENTS = {
    "spine": ("hip_center",),
    "shoulder_center": ("spine",),
    "head": ("shoulder_center",),
    "shoulder": ("shoulder_center", "hip"),
    "elbow": ("shoulder",),
    "wrist": ("elbow",),
    "hand": ("wrist",),
    "hip": ("hip_center",),
    "knee": ("hip",),
    "ankle": ("knee",),
    "foot": ("ankle",),
    "ear": ("shoulder",),
    "eye": ("ear",),
}
"""Joint to what it hangs on, the first that there is; of a side, the same side is meant first.

Kinect's 20 joints and COCO's 17. A joint that is not here, or whose parents are missing, is the
root of what hangs on it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """The points or axes of one modality."""

    kind: str
    """``points`` or ``axes``, see ``ModalityConfig.geometry``."""
    triples: Tensor
    """Shapes: (J, 3) int64, the columns of x, y and z."""
    is_whole: bool
    """Whether the triples are all columns in their order, so that no gathering is needed."""
    bones: Tensor
    """Joints to bones, each a joint less its parent; a root keeps its place. Shapes: (J, J)."""
    joints: Tensor
    """Bones back to joints, the inverse of ``bones``. Shapes: (J, J)."""
    lengths: Tensor
    """Number of the length that a bone has; left and right share one. 0: a root. Shapes: (J,)."""
    n_lengths: int
    """Lengths that can differ from person to person; kept so that no device is asked for it."""
    counterpart: Tensor
    """The same joint of the other side, a joint without one itself. Shapes: (J,)."""
    has_sides: bool
    """Whether any joint has one of the other side; kept so that no device is asked for it."""

    def to(self, device: torch.device) -> Geometry:
        """Return the same on a device."""
        return replace(
            self,
            triples=self.triples.to(device),
            bones=self.bones.to(device),
            joints=self.joints.to(device),
            lengths=self.lengths.to(device),
            counterpart=self.counterpart.to(device),
        )


def find_geometry(
    kind: str, n_columns: int, names: Sequence[str] = (), parents: Mapping[str, str] | None = None
) -> Geometry | None:
    """Find a modality's points or axes; None where it has none.

    ``parents`` is what each joint hangs on, where the data set's description says it.

    Columns without names are taken for triples where 3 divides their number; columns that are in
    no triple, such as angles and masks, are left alone.
    """
    if kind == "none":
        return None
    if names:
        places = {name: column for column, name in enumerate(names)}
        stems = [name[:-2] for name in names if name.endswith("_x")]
        stems = [s for s in stems if all(f"{s}_{axis}" in places for axis in _AXES)]
        triples = [[places[f"{stem}_{axis}"] for axis in _AXES] for stem in stems]
    else:
        n = n_columns // 3 if n_columns % 3 == 0 else 0
        stems = [str(number) for number in range(n)]
        triples = [[3 * number + axis for axis in range(3)] for number in range(n)]
    if not triples:
        return None
    columns = torch.tensor(triples)
    bones, lengths = torch.eye(len(stems)), torch.zeros(len(stems), dtype=torch.int64)
    numbers: dict[str, int] = {}
    others = [_other_side(stem, stems) for stem in stems]
    for number, stem in enumerate(stems):
        parent = _parent_of(stem, stems, parents) if kind == "points" else None
        if parent is not None:
            bones[number, stems.index(parent)] = -1
            either = _SIDE.sub("", stem)
            lengths[number] = numbers.setdefault(either, len(numbers) + 1)
    return Geometry(
        kind=kind,
        triples=columns,
        is_whole=columns.flatten().tolist() == list(range(n_columns)),
        bones=bones,
        joints=torch.linalg.inv(bones),
        lengths=lengths,
        n_lengths=len(numbers),
        counterpart=torch.tensor([stems.index(other) for other in others]),
        has_sides=others != stems,
    )


def _other_side(stem: str, stems: Sequence[str]) -> str:
    other = _SIDE.sub(lambda match: "left_" if match[1] == "right" else "right_", stem)
    return other if other in stems else stem


def _parent_of(stem: str, stems: Sequence[str], parents: Mapping[str, str] | None) -> str | None:
    if parents:
        return parents.get(stem)
    person = match[0] if (match := _PERSON.match(stem)) else ""
    joint = stem.removeprefix(person)
    side = match[0] if (match := _SIDE.match(joint)) else ""
    for wanted in _PARENTS.get(joint.removeprefix(side), ()):
        for name in (f"{person}{side}{wanted}", f"{person}{wanted}"):
            if name in stems:
                return name
    return None
