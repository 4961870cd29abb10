"""Damage to finished caches, runs and exports: seen by all that read them, or of no influence.

Rule: a command on something damaged gives what it gives on the undamaged one, or refuses;
``cache verify --full`` finds each change of a cache.
"""

from __future__ import annotations

import json
import random
from pathlib import Path

from tests.attack.bench import TRAINING, Bench, copy, files_of, same_run
from tests.attack.command import dmft
from tests.attack.damage import hurt
from tests.attack.family import Family
from tests.attack.outcome import RIGHT, WRONG, Outcome, judge, misbehaved


def cache_with_a_flip(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """One bit of any file."""
    return _cache(bench, chance, place, flips_only=True)


def cache_hurt(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """A file deleted, exchanged or mutated."""
    return _cache(bench, chance, place, flips_only=False)


def _cache(bench: Bench, chance: random.Random, place: Path, *, flips_only: bool) -> list[Outcome]:
    cache = copy(bench.cache, place / "cache")
    what = hurt(chance, cache, flips_only=flips_only)
    if files_of(cache) == files_of(bench.cache):
        return []
    verified = dmft("cache", "verify", cache, "--full")
    found = [misbehaved(verified, f"verify, {what}")]
    if verified.code == 0 and ".ledger/" not in what:
        found.append(Outcome(verdict=WRONG, note=f"verify --full, {what}: exit 0"))
    if chance.random() < 0.5:
        answer = dmft("evaluate", bench.run, "--cache", cache, "--json")
        found.append(judge(answer, f"evaluate, {what}", lambda: answer.out == bench.figures))
    else:
        answer = dmft("train", cache, *TRAINING, "--out", place / "run")
        found.append(judge(answer, f"train, {what}", lambda: same_run(place / "run", bench.run)))
    return [outcome for outcome in found if outcome is not None]


def run_hurt(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """A run is evaluated, shown and used."""
    run = copy(bench.run, place / "run")
    what = hurt(chance, run)
    if files_of(run) == files_of(bench.run) or "events.out" in what:
        return [Outcome(verdict=RIGHT)]
    kind = chance.choice(("evaluate", "report", "predict"))
    if kind == "evaluate":
        answer = dmft("evaluate", run, "--json")
        return [judge(answer, f"evaluate, {what}", lambda: answer.out == bench.figures)]
    if kind == "predict":
        answer = dmft("predict", run, "--raw", bench.raw, "--json")
        return [judge(answer, f"predict, {what}", lambda: answers(answer.out) == bench.answers)]
    answer = dmft("report", "run", "-o", "page.html", cwd=place)
    page = place / "page.html"
    return [judge(answer, f"report, {what}", lambda: page.read_text() == bench.page)]


def export_hurt(bench: Bench, chance: random.Random, place: Path) -> list[Outcome]:
    """An export is used."""
    export = copy(bench.export, place / "export")
    (export / "model.pt2").unlink()  # predict does not read it
    what = hurt(chance, export)
    answer = dmft("predict", export, "--raw", bench.raw, "--json")
    return [judge(answer, f"predict, {what}", lambda: answers(answer.out) == bench.export_answers)]


def answers(text: str) -> list[object]:
    """What predict says of each recording."""
    found: list[object] = json.loads(text)["recordings"]
    return found


FAMILIES = (
    Family(name="flips-cache", attack=cache_with_a_flip, n=25, n_short=3, needs=("figures",)),
    Family(name="damage-cache", attack=cache_hurt, n=25, n_short=0, needs=("figures",)),
    Family(
        name="damage-run", attack=run_hurt, n=30, n_short=0,
        needs=("figures", "answers", "page"),
    ),
    Family(name="damage-export", attack=export_hurt, n=15, n_short=0, needs=("export_answers",)),
)  # fmt: skip
