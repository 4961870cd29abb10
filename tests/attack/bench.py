"""What is attacked: small fabricated recordings, a cache, runs and an export, each made once.

Everything here is made by the command line. Attacks copy what they damage.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.attack.command import Answer, dmft

TRAINING = ("--protocol", "utd-loso", "--model", "student", "--epochs", "2", "--threads", "1")
FRAMES = (
    *("--weights", "random:0", "--set", "rgb.every=4", "--set", "rgb.image_size=32"),
    *("--set", "depth.every=4", "--set", "depth.image_size=32"),
)
"""Settings with which a film is encoded in a blink."""
UNLISTED = (".ledger/lock",)


class Bench:
    """Folders under one place; a part is made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made yet."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, *arguments: str | Path) -> Answer:
        """Run a command that must succeed."""
        answer = dmft(*arguments, limit_s=300)
        if answer.code:
            raise RuntimeError(f"the bench cannot be made: {arguments}: {answer.err}")
        return answer

    @cached_property
    def raw(self) -> Path:
        """Skeleton and inertial of 2 people, 3 actions, 2 trials: 12 records."""
        raw = self.folder / "raw"
        some = ("--subjects", "2", "--actions", "3", "--trials", "2", "--jobs", "1")
        self.make("synth", "utd-mhad", raw, *some, "--modalities", "skeleton,inertial")
        return raw

    @cached_property
    def manifest(self) -> Path:
        """Of :attr:`raw`."""
        return self.list_of(self.raw, self.folder / "raw.jsonl")

    @cached_property
    def cache(self) -> Path:
        """Of :attr:`raw`."""
        return self.encode(self.manifest, self.raw, self.folder / "raw.zarr")

    @cached_property
    def run(self) -> Path:
        """A student of two epochs."""
        self.make("train", self.cache, *TRAINING, "--out", self.folder / "run")
        return self.folder / "run"

    @cached_property
    def teacher(self) -> Path:
        """A teacher of one epoch."""
        options = ("--protocol", "utd-loso", "--epochs", "1", "--threads", "1")
        self.make("train", self.cache, *options, "--out", self.folder / "teacher")
        return self.folder / "teacher"

    @cached_property
    def export(self) -> Path:
        """Of :attr:`run`; half a minute."""
        self.make("export", self.run, "-o", self.folder / "export")
        return self.folder / "export"

    @cached_property
    def figures(self) -> str:
        """What evaluate prints of :attr:`run`."""
        return self.make("evaluate", self.run, "--json").out

    @cached_property
    def answers(self) -> Any:
        """What predict says with :attr:`run`."""
        return json.loads(self.make("predict", self.run, "--raw", self.raw, "--json").out)[
            "recordings"
        ]

    @cached_property
    def export_answers(self) -> Any:
        """What predict says with :attr:`export`."""
        return json.loads(self.make("predict", self.export, "--raw", self.raw, "--json").out)[
            "recordings"
        ]

    @cached_property
    def page(self) -> str:
        """What report writes of :attr:`run`."""
        answer = dmft("report", self.run.name, "-o", "page.html", cwd=self.folder)
        if answer.code:
            raise RuntimeError(answer.err)
        return (self.folder / "page.html").read_text()

    @cached_property
    def films(self) -> Path:
        """Colour and depth of one person, 2 actions."""
        films = self.folder / "films"
        some = ("--subjects", "1", "--actions", "2", "--trials", "1", "--jobs", "1")
        self.make("synth", "utd-mhad", films, *some, "--modalities", "rgb,depth")
        return films

    @cached_property
    def mmact(self) -> Path:
        """Films, sensors and poses in MMAct's formats: one person, 2 cameras, 3 classes."""
        raw = self.folder / "mmact"
        some = ("--subjects", "1", "--sessions", "1", "--cameras", "2", "--classes", "3")
        small = ("--seconds", "1", "--size", "64x36", "--jobs", "1")
        self.make("synth", "mmact", raw, *some, *small, "--modalities", "rgb,inertial,skeleton")
        return raw

    @cached_property
    def film_cache(self) -> Path:
        """Of :attr:`films`."""
        listed = self.list_of(self.films, self.folder / "films.jsonl")
        return self.encode(listed, self.films, self.folder / "films.zarr", *FRAMES)

    @cached_property
    def mmact_cache(self) -> Path:
        """Of the sensors and poses of :attr:`mmact`."""
        listed = self.list_of(self.mmact, self.folder / "mmact.jsonl", "mmact")
        some = ("--modalities", "inertial,skeleton")
        return self.encode(listed, self.mmact, self.folder / "mmact.zarr", *some)

    @cached_property
    def mmact_films(self) -> Path:
        """Of the films of :attr:`mmact`."""
        listed = self.list_of(self.mmact, self.folder / "mmact-films.jsonl", "mmact")
        some = ("--modalities", "rgb", *FRAMES[:6])
        return self.encode(listed, self.mmact, self.folder / "mmact-films.zarr", *some)

    def list_of(self, raw: Path, to: Path, dataset: str = "utd-mhad") -> Path:
        """The manifest of a raw tree."""
        self.make("manifest", "build", dataset, raw, "-o", to, "--jobs", "1")
        return to

    def encode(self, manifest: Path, raw: Path, out: Path, *options: str) -> Path:
        """The cache of a raw tree, made in one process."""
        self.make("encode", manifest, "--raw", raw, "--out", out, "--workers", "0", *options)
        return out


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One record of one modality, as a cache stores it."""

    presence: int
    patches: bytes


PRESENT, ABSENT, FAILED = 1, 2, 3


def rows_of(cache: Path) -> dict[tuple[str, str], Row]:
    """Record and modality to what is stored, by the documented format and nothing else."""
    spec = about(cache)
    ids = [json.loads(line)["id"] for line in _lines(cache / ".ledger/manifest.jsonl")[1:]]
    found = {}
    for name, modality in spec["modalities"].items():
        codes = (cache / f"{name}_presence/c/0").read_bytes()
        itemsize = {"float32": 4, "float16": 2}[modality["dtype"]]
        size = modality["n_patches"] * modality["n_features"] * itemsize
        for at, record in enumerate(ids):
            chunk, place = divmod(at, modality["records_per_chunk"])
            patches = b""
            if codes[at] == PRESENT:
                content = (cache / f"{name}/c/{chunk}/0/0").read_bytes()
                patches = content[place * size : (place + 1) * size]
            found[record, name] = Row(presence=codes[at], patches=patches)
    return found


def about(cache: Path) -> dict[str, Any]:
    """What a cache says of itself."""
    found: dict[str, Any] = json.loads((cache / "zarr.json").read_bytes())["attributes"]["dmft"]
    return found


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file under a folder and its bytes, but those that come and go with an encode."""
    found = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }
    return {name: content for name, content in found.items() if name not in UNLISTED}


def same_files(one: Path, other: Path) -> bool:
    """Whether two folders hold the same bytes."""
    return files_of(one) == files_of(other)


def same_run(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights and figures, and nothing half-made beside them."""
    return _results_of(one) == _results_of(other)


def _results_of(run: Path) -> dict[str, object]:
    """Name of each file to what a training of the same seed makes again."""
    found: dict[str, object] = {}
    for path in run.iterdir():
        if path.name.startswith("events.out"):
            continue
        found[path.name] = None
        if path.name in ("model.safetensors", "predictions.json"):
            found[path.name] = path.read_bytes()
        if path.name == "metrics.json":
            found[path.name] = json.loads(path.read_bytes()) | {
                "seconds_per_epoch": None,
                "sha256": None,
            }
    return found


def copy(source: Path, to: Path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(source, to) if source.is_dir() else shutil.copy(source, to)
    return to
