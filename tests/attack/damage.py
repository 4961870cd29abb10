"""What is done to bytes and folders: flips, cuts, repeats, zeros, files lost and exchanged."""

from __future__ import annotations

import random
from pathlib import Path


def flip(chance: random.Random, content: bytes) -> bytes:
    """One bit turned."""
    found = bytearray(content)
    if found:
        bit = chance.randrange(len(found) * 8)
        found[bit // 8] ^= 1 << bit % 8
    return bytes(found)


def mutate(chance: random.Random, content: bytes) -> bytes:
    """Up to three: a bit turned, a piece cut, repeated, zeroed, made noise, moved; an end lost."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        at = chance.randrange(len(content) + 1)
        size = chance.choice((1, 2, 4, 8, 16, 64, 512, 4096))
        piece = content[at : at + size]
        rest = content[at + size :]
        kind = chance.randrange(8)
        if kind <= 1:
            content = flip(chance, content)
        else:
            content = (
                content[:at]
                + (
                    rest,
                    piece * 3 + rest,
                    bytes(len(piece)) + rest,
                    chance.randbytes(len(piece)) + rest,
                    b"",
                    rest[:size] + piece + rest[size:],
                )[kind - 2]
            )
    return content


def mutate_text(chance: random.Random, content: bytes) -> bytes:
    """The same, or what breaks text: a strange token put in, a line lost or doubled."""
    if chance.random() < 0.4:
        return mutate(chance, content)
    if chance.random() < 0.5:
        lines = content.splitlines(keepends=True)
        at = chance.randrange(len(lines))
        lines[at : at + 1] = chance.choice(([], [lines[at]] * 2, lines[at - 1 : at + 1]))
        return b"".join(lines)
    strange = chance.choice(STRANGE)
    at = chance.randrange(len(content) + 1)
    return content[:at] + strange + content[at + chance.choice((0, 1, len(strange))) :]


STRANGE = (
    *(b"NaN", b"inf", b"-1", b"1e999", b"null", b"true", b"[]", b"{}", b'""', b"99999999999999999"),
    *(
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x00",
        b"\r",
        b"\n\n",
        b",",
        b";",
        b'"',
        b"'''",
        b"../",
        b"=",
    ),
)


def hurt(chance: random.Random, folder: Path, *, flips_only: bool = False) -> str:
    """Do something to one file of a folder, and say what."""
    paths = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "lock")
    path = chance.choice(paths)
    name = path.relative_to(folder).as_posix()
    kind = 0 if flips_only else chance.randrange(5)
    if kind == 1:
        path.unlink()
        return f"{name} deleted"
    if kind == 2:
        other = chance.choice(paths)
        path.write_bytes(other.read_bytes())
        return f"{name} is {other.relative_to(folder).as_posix()}"
    before = path.read_bytes()
    path.write_bytes(flip(chance, before) if kind == 0 else mutate(chance, before))
    return f"{name} {'with a bit turned' if kind == 0 else 'mutated'}"
