"""``dmft synth``: fabricate raw recordings to try things on."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import click


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def synth() -> None:
    """Fabricate raw recordings to try things on.

    The files have the real data set's names, formats and units, and all modalities of a record
    come from one moving skeleton. They are for demonstrations and tests: results on them say
    nothing about the real data set.
    """


def _modalities(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
    known = ("rgb", "depth", "skeleton", "inertial")
    names = tuple(name.strip() for name in value.split(",") if name.strip())
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise click.BadParameter(f"{value!r}: wanted some of {','.join(known)}")
    return tuple(dict.fromkeys(names))


@synth.command("utd-mhad")
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--subjects", default=4, show_default=True, type=click.IntRange(1, 999), help="How many people."
)
@click.option(
    "--actions",
    default=8,
    show_default=True,
    type=click.IntRange(1, 27),
    help="How many of the 27 classes. Fewer than 27 are a fixed choice that mixes near neighbours "
    "(circles either way, knock and wave, push, throw) with unlike ones (walk, jog).",
)
@click.option(
    "--trials",
    default=2,
    show_default=True,
    type=click.IntRange(1, 999),
    help="How often each person performs each action.",
)
@click.option(
    "--seed",
    default=0,
    show_default=True,
    type=click.IntRange(0),
    help="Draws the people and the trials; the same seed writes the same bytes.",
)
@click.option(
    "--modalities",
    default="rgb,depth,skeleton,inertial",
    show_default=True,
    callback=_modalities,
    help="Which files to write, with commas between.",
)
@click.option(
    "--jobs",
    default=None,
    type=click.IntRange(1),
    help="Processes; changes no file.  [default: one a core]",
)
@click.option("--force", is_flag=True, help="Write into OUT although it holds something already.")
def utd_mhad(
    out: Path,
    subjects: int,
    actions: int,
    trials: int,
    seed: int,
    modalities: tuple[str, ...],
    jobs: int | None,
    force: bool,
) -> None:
    """Write a raw tree in UTD-MHAD's file formats into OUT.

    \b
    Inertial/  a1_s1_t1_inertial.mat   d_iner (T, 6), g and deg/s, 50 Hz
    Skeleton/  a1_s1_t1_skeleton.mat   d_skel (20, 3, T), metres
    Depth/     a1_s1_t1_depth.mat      d_depth (240, 320, T), millimetres
    RGB/       a1_s1_t1_color.avi      640x480, 15 frames/s

    The defaults make 64 records in under a minute on two cores. With --force, files of the same
    names are replaced and all others are left as they are.
    """
    from pipeline.synthetic.utd_mhad import plan, write_tree

    if out.exists() and any(out.iterdir()) and not force:
        raise click.UsageError(
            f"{out} exists and is not empty. Name another folder, remove it, or add --force to "
            "write into it."
        )
    records = plan(seed=seed, n_actions=actions, n_subjects=subjects, n_trials=trials)
    started = time.monotonic()
    bar: Any = click.progressbar(
        length=len(records), label="Fabricating", show_pos=True, file=sys.stderr
    )
    with bar:
        written = write_tree(
            out,
            records,
            modalities,
            n_jobs=jobs or os.cpu_count() or 1,
            progress=lambda _: bar.update(1),
        )
    click.echo(
        f"{len(records)} records ({', '.join(modalities)}; {written / 1e6:.1f} MB) in {out} "
        f"after {time.monotonic() - started:.0f} s. Next: "
        f"dmft manifest build utd-mhad {out} -o {out.resolve().name}.jsonl"
    )
