"""What a BVH file is by its hierarchy: which joints it has and what each hangs on."""

from __future__ import annotations

import json
import re

_PART = re.compile(r"^\s*(?:(ROOT|JOINT)[ \t]+(\S[^\r\n]*?)|(End\s+Site)|(MOTION)|(\}))\s*$", re.M)


def lines_of_bones(content: bytes) -> list[str]:
    """The lines of a description that say which joints are read; guesses are marked.

    Example:
        >>> bones = b"ROOT hip\\n{\\nJOINT neck\\n{\\nEnd Site\\n{\\n}\\n}\\n}\\nMOTION\\n"
        >>> lines_of_bones(bones)[:2]
        ['joints = ["hip", "neck"]', 'parents = { "neck" = "hip" }']
    """
    joints: list[str] = []
    parents: dict[str, str] = {}
    opened: list[str] = []
    for begins, name, end, motion, closes in _PART.findall(content.decode("utf-8", "replace")):
        if motion:
            break
        if closes:
            opened = opened[:-1]
        elif end:
            opened.append("")
        elif begins and name not in joints:
            if opened:
                parents[name] = opened[-1]
            joints.append(name)
            opened.append(name)
    hung = ", ".join(f"{_quoted(child)} = {_quoted(parent)}" for child, parent in parents.items())
    return [
        f"joints = {json.dumps(joints, ensure_ascii=False)}",
        f"parents = {{ {hung} }}",
        'encoding = { recentre = "none", face = false, scale = "none" }  # ? as long as no '
        "[modality.NAME.body] says which joints are hips and shoulders",
        'unit = ""  # ? such as "m", with the factor that makes it that',
        "factor = 1.0",
    ]


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
