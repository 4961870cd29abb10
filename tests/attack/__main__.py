"""``python -m tests.attack``: run the attacks, print what came of them."""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import click

from tests.attack import FAMILY_MODULES
from tests.attack.bench import Bench
from tests.attack.command import preload
from tests.attack.family import Family, attempt
from tests.attack.outcome import BAD, GOOD, Counts, Outcome

_STATE: dict[str, tuple[Bench, int, Path]] = {}


def families() -> dict[str, Family]:
    """Every family, by its name."""
    from importlib import import_module

    modules = [import_module(f"tests.attack.{name}") for name in FAMILY_MODULES]
    return {family.name: family for module in modules for family in module.FAMILIES}


def _do(task: tuple[str, int]) -> tuple[str, list[Outcome], float]:
    bench, seed, folder = _STATE["all"]
    began = time.monotonic()
    name, number = task
    found = attempt(families()[name], bench, seed, number, folder)
    return name, found, time.monotonic() - began


@click.command()
@click.option("--family", "chosen", multiple=True, help="Only this one; repeatable.")
@click.option("--seed", default=0, show_default=True, help="Draws every attack.")
@click.option("--tries", type=int, help="Attacks of each family. [default: each its own]")
@click.option("--json", "to", type=click.Path(path_type=Path), help="Also write the counts here.")
@click.option("--jobs", default=2, show_default=True, help="Attacks at a time.")
def main(
    chosen: tuple[str, ...],
    seed: int,
    tries: int | None,
    to: Path | None,
    jobs: int,
) -> None:
    """Attack dmft and count what came of it; exit 1 if anything is bad."""
    began = time.monotonic()
    all_of_them = families()
    strange = [name for name in chosen if name not in all_of_them]
    if strange:
        raise click.UsageError(f"no family {strange[0]}: there are {', '.join(all_of_them)}")
    names = list(chosen or all_of_them)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    preload()
    counts = {name: Counts() for name in names}
    spent = dict.fromkeys(names, 0.0)
    with tempfile.TemporaryDirectory(prefix="attack-") as folder:
        Path(folder).chmod(0o755)
        bench = Bench(Path(folder) / "bench")
        _STATE["all"] = (bench, seed, Path(folder))
        for heavy in (False, True):
            todo = [all_of_them[name] for name in names if all_of_them[name].heavy is heavy]
            if heavy and todo:
                preload(heavy=True)
            for part in sorted({part for family in todo for part in family.needs}):
                getattr(bench, part)
            tasks = [(f.name, i) for f in todo for i in range(tries or f.n)]
            if not tasks:
                continue
            with multiprocessing.get_context("fork").Pool(jobs) as pool:
                for name, found, seconds in pool.imap_unordered(_do, tasks):
                    counts[name].add(found)
                    spent[name] += seconds
        for name in names:
            for verdict, note in counts[name].notes[:12]:
                click.echo(f"{name}: {verdict}: {note}")
        click.echo(_table(counts, spent))
    n_bad = sum(count.n_bad for count in counts.values())
    n_tries = sum(count.tries for count in counts.values())
    click.echo(f"{n_tries} tries, {n_bad} bad, seed {seed}, {time.monotonic() - began:.0f} s")
    if to is not None:
        content = {
            "seed": seed,
            "families": {
                name: {"tries": c.tries, **{v: c.found[v] for v in (*GOOD, *BAD)}, "notes": c.notes}
                for name, c in counts.items()
            },
        }
        to.write_text(json.dumps(content, indent=2))
    sys.exit(1 if n_bad else 0)


def _table(counts: dict[str, Counts], spent: dict[str, float]) -> str:
    """Counts of each family as text."""
    width = max(map(len, counts)) + 2
    columns = ("tries", *GOOD, *BAD, "s")
    lines = [f"{'family':{width}}" + "".join(f"{column:>11}" for column in columns)]
    for name, count in counts.items():
        row = [count.tries, *(count.found[v] for v in (*GOOD, *BAD)), round(spent[name])]
        lines.append(f"{name:{width}}" + "".join(f"{value:>11}" for value in row))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
