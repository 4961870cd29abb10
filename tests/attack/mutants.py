"""Mutated raw files of every format, archives, manifests and settings.

Rule: a mutated file is encoded to what the undamaged one is, or to what a reference reader finds
in it (scipy, csv, json, PyAV's count of frames), or its record is in quarantine by name, or the
command refuses with a message.
"""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shutil
import tarfile
import tomllib
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.attack.bench import FAILED, FRAMES, PRESENT, Bench, rows_of
from tests.attack.command import Answer, dmft, isolated
from tests.attack.damage import mutate, mutate_text
from tests.attack.family import Family
from tests.attack.outcome import REFUSED, RIGHT, WRONG, Outcome, misbehaved

Rewrite = Callable[[Path, Path], Any]
"""Reads a mutated file by a reference reader and writes what it found as a clean file."""


def _rewrite_mat(source: Path, to: Path) -> bool:
    import scipy.io

    found = {k: v for k, v in scipy.io.loadmat(source).items() if not k.startswith("__")}
    scipy.io.savemat(to, found, do_compression=True)
    return True


def _rewrite_csv(source: Path, to: Path) -> bool:
    rows = list(csv.reader(io.StringIO(source.read_bytes().decode("utf-8"), newline="")))
    lines = [",".join([row[0].strip(), *(repr(float(v)) for v in row[1:])]) for row in rows if row]
    to.write_text("\n".join(lines) + "\n")
    return True


def _rewrite_json(source: Path, to: Path) -> bool:
    to.write_text(json.dumps(json.loads(source.read_bytes())))
    return True


def _n_frames(path: Path) -> int:
    import av

    with av.open(str(path)) as film:
        return sum(1 for _ in film.decode(video=0))


def _encode(place: Path, raw: Path, dataset: str, options: Sequence[str]) -> tuple[Answer, Path]:
    out, listed = place / f"{raw.name}.zarr", place / f"{raw.name}.jsonl"
    answer = dmft("manifest", "build", dataset, raw, "-o", listed, "--jobs", "1")
    if answer.code == 0:
        common = ("--raw", raw, "--out", out, "--workers", "0")
        answer = dmft("encode", listed, *common, *options)
    return answer, out


def mutated_files(
    chance: random.Random, place: Path, raw: Path, clean: Path, dataset: str, ending: str,
    options: Sequence[str], rewrite: Rewrite | None,
    change: Callable[[random.Random, bytes], bytes],
) -> list[Outcome]:  # fmt: skip
    """Mutate all files of one ending in a tree, encode it, and judge each."""
    tree = shutil.copytree(raw, place / "tree")
    mutated = sorted(p for p in tree.rglob(f"*{ending}") if chance.random() < 0.7)
    for path in mutated:
        path.write_bytes(change(chance, path.read_bytes()))
    names = {path.relative_to(tree).as_posix() for path in mutated}
    answer, out = _encode(place, tree, dataset, options)
    bad = misbehaved(answer, f"{len(mutated)} mutated *{ending}")
    if bad is not None:
        return [bad]
    if not out.exists() or answer.code == 2:
        return [Outcome(verdict=REFUSED)]
    found, whole = rows_of(out), rows_of(clean)
    streams = _streams(place / "tree.jsonl")
    odd = {
        key for key, row in found.items()
        if names & streams.get(key, set()) and row.presence == PRESENT and row != whole[key]
    }  # fmt: skip
    clean_again: dict[tuple[str, str], Any] = {}
    if odd and rewrite is not None:
        again = shutil.copytree(tree, place / "again")
        for name in sorted(set().union(*(streams[key] & names for key in odd))):
            if not isolated(rewrite, tree / name, again / name):
                (again / name).write_bytes(b"")
        _, out_again = _encode(place, again, dataset, options)
        clean_again = rows_of(out_again) if out_again.exists() else {}
    outcomes = []
    for key, paths in streams.items():
        if not names & paths:
            continue
        row = found[key]
        shown = f"{key[1]} of {key[0]} ({', '.join(sorted(names & paths))})"
        if row.presence == FAILED:
            named = key[0] in answer.out + answer.err
            verdict = REFUSED if named else WRONG
        elif row == whole[key]:
            verdict = RIGHT
        elif rewrite is None and row.presence == PRESENT:
            count = sum(isolated(_n_frames, tree / name) or 0 for name in names & paths)
            verdict = RIGHT if count == _length(out, key) else WRONG
        else:
            verdict = RIGHT if row == clean_again.get(key) else WRONG
        outcomes.append(Outcome(verdict=verdict, note=f"{shown}: presence {row.presence}"))
    return outcomes


def _streams(manifest: Path) -> dict[tuple[str, str], set[str]]:
    """Record and modality to the paths of its files."""
    records = [json.loads(line) for line in manifest.read_text().splitlines()[1:]]
    return {
        (r["id"], m): {s["path"] for s in streams}
        for r in records for m, streams in r["streams"].items()
    }  # fmt: skip


def _length(cache: Path, key: tuple[str, str]) -> int:
    for path in (cache / ".ledger" / key[1]).glob("*.json"):
        for entry in json.loads(path.read_bytes())["entries"]:
            if entry["record_id"] == key[0]:
                return int(entry["length"])
    return -1


def mat(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Skeleton and inertial in MAT files."""
    return mutated_files(
        chance, place, bench.raw, bench.cache, "utd-mhad", ".mat", (), _rewrite_mat, mutate
    )


def avi(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Films; their format has no checksum, so a picture may differ, and no frame be lost."""
    return mutated_files(
        chance, place, bench.films, bench.film_cache, "utd-mhad", ".avi", FRAMES, None, mutate
    )


def mp4(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """The same of MMAct."""
    options = ("--modalities", "rgb", *FRAMES[:6])
    clean = bench.mmact_films
    return mutated_files(chance, place, bench.mmact, clean, "mmact", ".mp4", options, None, mutate)


def table(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Sensor rows in CSV."""
    clean, options = bench.mmact_cache, ("--modalities", "inertial,skeleton")
    raw = bench.mmact
    return mutated_files(
        chance, place, raw, clean, "mmact", ".csv", options, _rewrite_csv, mutate_text
    )  # fmt: skip


def pose(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Poses in JSON."""
    clean, options = bench.mmact_cache, ("--modalities", "inertial,skeleton")
    raw = bench.mmact
    return mutated_files(
        chance, place, raw, clean, "mmact", ".json", options, _rewrite_json, mutate_text
    )  # fmt: skip


def archive(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """Archives in place of the folders, with the list of what they held."""
    tree = place / "tree"
    tree.mkdir()
    ending = chance.choice((".zip", ".tar.gz"))
    for name in ("Inertial", "Skeleton"):
        _pack(bench.raw / name, tree / f"{name}{ending}")
    path = tree / f"{chance.choice(('Inertial', 'Skeleton'))}{ending}"
    path.write_bytes(mutate(chance, path.read_bytes()))
    out, what = place / "cache", f"mutated {path.name}"
    answer = dmft("encode", bench.manifest, "--raw", tree, "--out", out, "--workers", "0")
    found = [_against_clean(bench, answer, out, what)]
    listed = place / "list.jsonl"
    answer = dmft("manifest", "build", "utd-mhad", tree, "-o", listed, "--jobs", "1")
    bad = misbehaved(answer, f"list of {what}")
    if bad is None:
        same = answer.code == 0 and listed.read_bytes() == bench.manifest.read_bytes()
        verdict = RIGHT if same else WRONG if answer.code == 0 else REFUSED
        bad = Outcome(verdict=verdict, note=f"list of {what}: exit {answer.code}: {answer.said}")
    return [*found, bad]


def _pack(folder: Path, to: Path) -> None:
    if to.suffix == ".zip":
        with zipfile.ZipFile(to, "w", zipfile.ZIP_DEFLATED) as packed:
            for path in sorted(folder.iterdir()):
                packed.write(path, f"{folder.name}/{path.name}")
    else:
        with tarfile.open(to, "w:gz") as packed_tar:
            packed_tar.add(folder, folder.name)


def _against_clean(bench: Bench, answer: Answer, out: Path, what: str) -> Outcome:
    """Each row that is there is right, each other in quarantine by name or counted."""
    bad = misbehaved(answer, what)
    if bad is not None:
        return bad
    if answer.code == 2 or not (out / "SHA256SUMS").exists():
        return Outcome(verdict=REFUSED)
    clean, verdict = rows_of(bench.cache), RIGHT
    for key, row in rows_of(out).items():
        if row.presence == PRESENT and key in clean and row.patches != clean[key].patches:
            return Outcome(verdict=WRONG, note=f"{what}: {key}")
        if row.presence == FAILED:
            said = answer.out + answer.err
            counted = re.search(rf"failed: [\d,]+ {key[1]}, .*: .*, \.\.\.$", said, re.MULTILINE)
            verdict = REFUSED if key[0] in said or counted else WRONG
    return Outcome(verdict=verdict, note=f"{what}: quarantined without a word")


def manifest(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """The list of the recordings; a number in it may be changed, a row of the cache not."""
    listed, out = place / "list.jsonl", place / "cache"
    listed.write_bytes(mutate_text(chance, bench.manifest.read_bytes()))
    answer = dmft("encode", listed, "--raw", bench.raw, "--out", out, "--workers", "0")
    return [_against_clean(bench, answer, out, "mutated manifest")]


CONFIG = b"""# settings of a training
[encoder]
width = 32
dropout = 0.1
[training]
batch_size = 8
learning_rate = 0.001
weight_decay = 1e-4
"""
PROTOCOL = b"""name = "odd-even"
description = "train on subject 1, test on subject 2"
[[folds]]
name = "one"
train = { subject = [1] }
test = { subject = [2] }
"""


def settings(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """A configuration or a protocol; what the run says of itself is what a TOML reader finds."""
    files = {"config": CONFIG, "protocol": PROTOCOL}
    hurt = chance.choice(list(files))
    files[hurt] = mutate_text(chance, files[hurt])
    for name, content in files.items():
        (place / f"{name}.toml").write_bytes(content)
    out = place / "run"
    options = ("--config", place / "config.toml", "--epochs", "1", "--model", "student")
    protocol = ("--protocol", place / "protocol.toml", "--threads", "1", "--out", out)
    answer = dmft("train", bench.cache, *options, *protocol)
    bad = misbehaved(answer, f"mutated {hurt}: {files[hurt]!r}")
    if bad is not None:
        return [bad]
    if answer.code:
        return [Outcome(verdict=REFUSED)]
    said = json.loads((out / "run.json").read_bytes())["spec"]["config"]
    try:
        read = tomllib.loads((place / "config.toml").read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        read = {"unreadable": True}
    verdict = RIGHT if _within(read, said) else WRONG
    return [Outcome(verdict=verdict, note=f"mutated {hurt}: {files[hurt]!r}: exit 0")]


def _within(part: object, whole: object) -> bool:
    if isinstance(part, dict) and isinstance(whole, dict):
        return all(key in whole and _within(value, whole[key]) for key, value in part.items())
    return part == whole


FAMILIES = (
    Family(name="mutated-mat", attack=mat, n=16, n_short=1, needs=("cache",)),
    Family(name="mutated-csv", attack=table, n=12, n_short=1, needs=("mmact_cache",)),
    Family(name="mutated-json", attack=pose, n=10, n_short=1, needs=("mmact_cache",)),
    Family(name="mutated-archives", attack=archive, n=25, n_short=2, needs=("cache",)),
    Family(name="mutated-manifest", attack=manifest, n=25, n_short=2, needs=("cache",)),
    Family(name="mutated-toml", attack=settings, n=25, n_short=2, needs=("cache",)),
    Family(name="mutated-avi", attack=avi, n=6, n_short=0, needs=("film_cache",), heavy=True),
    Family(name="mutated-mp4", attack=mp4, n=4, n_short=0, needs=("mmact_films",), heavy=True),
)
