"""Fabricates a raw tree in MMAct's layout and file formats.

``trainval/subjectN/camN/sceneN/sessionN/<class>.mp4`` is H.264 at 29.97 frames/s, and
``<sensor>_clip/subjectN/sceneN/sessionN/<class>.csv`` holds rows ``time,x,y,z``; the views of a
trial share its sensors. This module decides which trials there are, by counts or by a list of
clips, and has them written; ``irregular`` says what can be wrong with a tree on request.
"""

from __future__ import annotations

import csv
import gzip
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

from pipeline.contract import ConfigError
from pipeline.synthetic.irregular import STRAY_FILES, assign
from pipeline.synthetic.mmact_files import write_trial
from pipeline.synthetic.mmact_trial import CLASSES, SPREAD, Clip, Form, MmactTrial, film
from pipeline.synthetic.sensors import RATES_HZ
from pipeline.synthetic.tree import Progress, Written, make_way, mark, write_trials
from pipeline.synthetic.vocabulary import read_motions

_TABLES = read_motions("mmact")
CHOICES = {name: (tuple(entry["first"]), entry["most"]) for name, entry in _TABLES["order"].items()}
"""The order in which smaller trees take each, so that both sides of every published split come
early, and the greatest number allowed."""
DESK, ANYWHERE = frozenset(_TABLES["desk"]), frozenset(_TABLES["anywhere"])
"""Done in scene 3 only, and in every scene; all other classes in scenes 1, 2 and 4."""

COLUMNS = ("subject", "camera", "scene", "session", "file_stem", "n_frames")
"""What a list of clips has."""


def choose(value: str, order: Sequence[int], most: int) -> tuple[int, ...]:
    """Numbers from how many or which: ``4``, ``1,3`` or ``1-3,17``.

    Args:
        value: A number alone takes as many from ``order``, and goes on with the next above it;
            ``4,`` is the number 4.
        order: Which come first.
        most: The greatest allowed.

    Raises:
        ConfigError: neither, or out of range.
    """
    try:
        if value.strip().isdigit():
            wanted = [*order, *range(len(order) + 1, most + 1)][: int(value)]
            numbers = set(wanted) if 1 <= int(value) <= most else set()
        else:
            numbers = set()
            for part in filter(None, (part.strip() for part in value.split(","))):
                first, _, last = part.partition("-")
                numbers |= set(range(int(first), int(last or first) + 1))
    except ValueError:
        numbers = set()
    if not numbers or min(numbers) < 1 or max(numbers) > most:
        raise ConfigError(f"{value!r}: wanted how many, or which as in 1-3,5; 1 to {most}")
    return tuple(sorted(numbers))


def plan(
    *,
    seed: int,
    subjects: Sequence[int],
    scenes: Sequence[int],
    sessions: Sequence[int],
    cameras: Sequence[int],
    classes: Sequence[str],
    seconds: float,
) -> list[MmactTrial]:
    """Every trial that the people, places and classes allow, in the order of their numbers."""
    clips = {
        (subject, scene, session, action): [(camera, action) for camera in cameras]
        for subject, scene, session, action in product(subjects, scenes, sessions, classes)
        if is_done(action, scene, subject)
    }
    return _trials(clips, seed=seed, seconds=seconds)


def _trials(
    clips: Mapping[tuple[int, int, int, str], list[Clip]], **common: Any
) -> list[MmactTrial]:
    """Trials by subject, scene, session and class, with the clips that show each."""
    trials = []
    for key, shown in clips.items():
        names = ("subject", "scene", "session", "action")
        place: dict[str, Any] = dict(zip(names, key, strict=True))
        trials.append(MmactTrial(**place, clips=tuple(sorted(shown)), **common))
    return trials


def is_done(action: str, scene: int, subject: int) -> bool:
    """Whether the data set has a class in a scene by a subject."""
    if subject < _TABLES["from_subject"].get(action, 1):
        return False
    return action in ANYWHERE or (action in DESK) == (scene == 3)


def some_classes(count: int, scenes: Sequence[int], subjects: Sequence[int]) -> tuple[str, ...]:
    """As many classes as wanted of those that somebody does in the scenes, or all there are."""
    places = list(product(scenes, subjects))
    held = [name for name in SPREAD if any(is_done(name, *place) for place in places)]
    return tuple(sorted(held[:count]))


def read_structure(path: Path, *, seed: int, seconds: float) -> list[MmactTrial]:
    """The trials of a list of clips, columns :data:`COLUMNS`.

    Raises:
        ConfigError: the file has other columns, a value is no number or no class, or none is
            there.
    """
    clips: dict[tuple[int, int, int, str], list[Clip]] = {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        if tuple(rows.fieldnames or ()) != COLUMNS:
            raise ConfigError(f"{path}: columns are {rows.fieldnames}: wanted {', '.join(COLUMNS)}")
        for row in rows:
            stem, line = row["file_stem"], f"{path}: line {rows.line_num}"
            try:
                subject, camera, scene, session = (int(row[name]) for name in COLUMNS[:4])
            except (TypeError, ValueError):
                wanted = f"wanted numbers for {', '.join(COLUMNS[:4])}"
                raise ConfigError(f"{line} is {list(row.values())}: {wanted}") from None
            if stem.lower() not in CLASSES:
                wanted = f"wanted one of {', '.join(CLASSES)}"
                raise ConfigError(f"{line} has file stem {stem!r}: {wanted}")
            key = (subject, scene, session, stem.lower())
            clips.setdefault(key, []).append((camera, stem))
    if not clips:
        raise ConfigError(f"{path}: has no rows: wanted one a clip")
    return _trials(dict(sorted(clips.items())), seed=seed, seconds=seconds)


def write_tree(
    out: Path,
    trials: Sequence[MmactTrial],
    form: Form,
    *,
    irregular: Sequence[str] = (),
    share: float = 0.1,
    link_films: bool = False,
    n_jobs: int | None = 1,
    progress: Progress = lambda n_bytes: None,
) -> Written:
    """Write a raw tree of fabricated trials; the files do not depend on ``n_jobs``.

    Args:
        out: Folder to write into, made where absent.
        trials: From :func:`plan` or :func:`read_structure`.
        form: What they are written as.
        irregular: What is to be wrong, from :func:`pipeline.synthetic.irregular.chosen`.
        share: Of the trials that suffer each irregularity.
        link_films: Film one trial a class and make every clip a hard link to its class's film.
        n_jobs: Processes.
        progress: Called after each trial with its bytes.

    Raises:
        ConfigError: there are fewer trials than irregularities of single trials.
    """
    faults = assign(irregular, len(trials), share, trials[0].seed)
    form = replace(form, wide=frozenset(irregular))
    mark(out)
    if link_films and "rgb" in form.kinds:
        films = out / ".films"
        shutil.rmtree(films, ignore_errors=True)  # left by a run that was stopped
        films.mkdir()
        for trial in {trial.action: trial for trial in reversed(trials)}.values():
            content = film(trial, 1, form.width, form.height)
            (films / f"{trial.action}.mp4").write_bytes(content)
        form = replace(form, films=films)
    jobs = [(out, form, *job) for job in zip(trials, faults, strict=True)]
    total = write_trials(write_trial, jobs, n_jobs=n_jobs, progress=progress)
    if form.films:
        shutil.rmtree(form.films)
    for top, kind in (("trainval", "rgb"), ("pose", "skeleton")):
        if "zero-padded" in form.wide and kind in form.kinds:
            total.note("zero-padded", top, "numbers of two digits")
        if "level-order" in form.wide and kind in form.kinds:
            total.note("level-order", top, "camN/sceneN/subjectN/sessionN")
    for path, content in STRAY_FILES.items() if "stray-files" in form.wide else ():
        make_way(out / path).write_bytes(content)
        total.note("stray-files", path, "belongs to no trial")
    for sensor in RATES_HZ if "tar-gz" in form.wide else ():
        _pack(out / f"{sensor}_clip")
        total.note("tar-gz", f"{sensor}_clip.tar.gz", f"in place of {sensor}_clip")
    total.irregular.sort(key=lambda item: (item.irregularity, item.path))
    return total


def _pack(folder: Path) -> None:
    """Replace a folder by one .tar.gz whose bytes follow from the files alone."""
    if not folder.is_dir():
        return
    target = folder.with_name(f"{folder.name}.tar.gz")
    with (
        target.open("wb") as raw,
        gzip.GzipFile("", "wb", 6, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(path.relative_to(folder.parent).as_posix())
            member.size = path.stat().st_size
            with path.open("rb") as content:
                archive.addfile(member, content)
    shutil.rmtree(folder)
