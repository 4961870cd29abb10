"""``dmft synth``: fabricate raw recordings to try things on."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from functools import partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.common.every_command import Destination
from pipeline.common.progress_bar import ProgressBar
from pipeline.common.suggesting import SuggestingGroup
from pipeline.common.words import listed

if TYPE_CHECKING:
    from pipeline.synthetic.tree import Written

_option = partial(click.option, show_default=True)


@click.group(cls=SuggestingGroup, context_settings={"help_option_names": ["-h", "--help"]})
def synth() -> None:
    """Fabricate raw recordings to try things on.

    The files have the real data set's names, formats and units, and all modalities of a record
    come from one moving skeleton. They are for demonstrations and tests: results on them say
    nothing about the real data set.
    """


def _names(value: str) -> tuple[str, ...]:
    """Names with commas between, each once."""
    return tuple(dict.fromkeys(listed(value)))


def _vacant(ctx: click.Context, _param: click.Parameter, out: Path) -> Path:
    """OUT, which holds nothing unless --force is there."""
    if out.exists() and any(out.iterdir()) and not ctx.params["force"]:
        raise click.UsageError(
            f"{out} exists and is not empty. Name another folder, remove it, or add --force to "
            "write into it."
        )
    return out


def _tree_options(known: str, default: str, files: str = "") -> Callable[[Any], Any]:
    """What every tree is asked: OUT, --modalities, --seed, --jobs and --force.

    Args:
        known: The modalities there are, with commas between.
        default: Those written unless others are asked for.
        files: What is to be said of them.
    """

    def some(_ctx: click.Context, _param: click.Parameter, value: str) -> tuple[str, ...]:
        if not _names(value) or not set(_names(value)) <= set(known.split(",")):
            raise click.BadParameter(f"{value!r}: wanted some of {known}")
        return _names(value)

    files = f"Which files to write, with commas between{files}."
    seed = "Draws people, trials and what is irregular; the same seed writes the same bytes."
    jobs = "Processes; changes no file.  [default: one a core, where that is quicker]"
    force = "Write into OUT although it holds something already."
    folder = click.Path(file_okay=False, path_type=Path)
    options = (
        click.argument("out", type=folder, callback=_vacant, cls=Destination),
        _option("--modalities", default=default, callback=some, help=files),
        _option("--seed", default=0, type=click.IntRange(0), help=seed),
        click.option("--jobs", type=click.IntRange(1), help=jobs),
        click.option("--force", is_flag=True, is_eager=True, help=force),
    )
    return lambda command: reduce(lambda inner, option: option(inner), reversed(options), command)


def _fabricate(
    data_set: str,
    out: Path,
    trials: str,
    n_trials: int,
    write: Callable[..., Written],
    jobs: int | None,
    list_file: Path | None = None,
) -> None:
    """Write a tree, and say what came of it, what is wrong with it and what to run next."""
    started = time.monotonic()
    with ProgressBar() as bar:
        bar.start("fabricating", total=n_trials, unit="trials")
        written = write(n_jobs=jobs, progress=lambda _: bar.advance())
    click.echo(
        f"{n_trials} {trials}; {written.n_bytes / 1e6:.1f} MB) in {out} "
        f"after {time.monotonic() - started:.0f} s"
    )
    if list_file:
        list_file.write_text("".join(json.dumps(asdict(item)) + "\n" for item in written.irregular))
        first = {item.irregularity: item for item in reversed(written.irregular)}
        for kind, count in sorted(Counter(i.irregularity for i in written.irregular).items()):
            click.echo(f"  {kind}: {count}, first {first[kind].path} ({first[kind].detail})")
        click.echo(f"All of them: {list_file}")
    click.echo(f"Next: dmft manifest build {data_set} {out} -o {out.resolve().name}.jsonl")


@synth.command("utd-mhad")
@_option("--subjects", default=4, type=click.IntRange(1, 999), help="How many people.")
@_option(
    "--actions",
    default=8,
    type=click.IntRange(1, 27),
    help="How many of the 27 classes. Fewer than 27 are a fixed choice that mixes near neighbours "
    "(circles either way, knock and wave, push, throw) with unlike ones (walk, jog).",
)
@_option(
    "--trials",
    default=2,
    type=click.IntRange(1, 999),
    help="How often each person performs each action.",
)
@_tree_options("rgb,depth,skeleton,inertial", default="rgb,depth,skeleton,inertial")
def utd_mhad(
    out: Path, modalities: tuple[str, ...], seed: int, jobs: int | None, force: bool, **counts: int
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

    records = plan(seed=seed, **{f"n_{name}": count for name, count in counts.items()})
    what = f"records ({', '.join(modalities)}"
    write = partial(write_tree, out, records, modalities)
    _fabricate("utd-mhad", out, what, len(records), write, jobs)


def _size(_ctx: click.Context, _param: click.Parameter, value: str | None) -> Any:
    """Width and height, where they are given."""
    if value is None:
        return None
    width, _, height = value.partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise click.BadParameter(f"{value!r}: wanted WIDTHxHEIGHT, such as 1920x1080")
    return int(width), int(height)


@synth.command("mmact")
@_option(
    "--subjects",
    default="4",
    help="How many people, or which: 4, or 1-3,17. A number alone takes them in an order in which "
    "both sides of cross-subject come early: 1, 17, 11, 2, 18.",
)
@_option("--scenes", default="1", help="How many scenes, or which of 1-4.")
@_option(
    "--sessions", default="2", help="How many, or which; a number takes 1, 5, 2, 3, 4 in turn."
)
@_option("--cameras", default="4", help="How many, or which; a number takes 1, 4, 2, 3 in turn.")
@_option(
    "--classes",
    default="8",
    help="How many of the 35 classes, or which by name. A number alone takes a fixed choice among "
    "those done in the scenes, which mixes near neighbours with unlike ones.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 60),
    help="Length of a middling clip; classes keep their real proportions, from half as long "
    "(jumping) to 2.7 times (carrying_heavy). 7 is the real length.  [default: 4; 2 with "
    "--structure]",
)
@click.option(
    "--size",
    callback=_size,
    help="Width and height of the videos; the real ones are 1920x1080.  [default: 320x180; 64x36 "
    "with --structure]",
)
@click.option(
    "--structure",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Write the clips of this list and no others: a CSV with columns subject, camera, scene, "
    "session, file_stem and n_frames (not used). All clips of a class are hard links to one short "
    "film, which dmft manifest check reports as copies; sensor files are each of their own trial. "
    "--subjects to --classes do not apply.",
)
@click.option("--irregular", default="", help="What to do wrong: names from below, or all.")
@_option(
    "--share",
    default=0.1,
    type=click.FloatRange(0, 1),
    help="Share of the trials that suffer each irregularity of single trials, one at least.",
)
@click.option(
    "--list",
    "list_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write what was done to which file, as JSON lines.  [default: "
    "OUT.irregular.jsonl beside OUT]",
)
@_tree_options(
    "rgb,inertial,skeleton,wifi,pressure",
    default="rgb,inertial",
    files=": also skeleton (COCO keypoints as JSON), wifi and pressure",
)
def mmact(
    out: Path,
    classes: str,
    seconds: float | None,
    size: tuple[int, int] | None,
    modalities: tuple[str, ...],
    structure: Path | None,
    irregular: str,
    share: float,
    list_file: Path | None,
    seed: int,
    jobs: int | None,
    force: bool,
    **counts: str,
) -> None:
    """Write a raw tree in MMAct's layout and file formats into OUT.

    \b
    trainval/subject1/cam1/scene1/session1/walking.mp4    H.264, 29.97 frames/s
    acc_phone_clip/subject1/scene1/session1/walking.csv   time,x,y,z; 100 Hz, m/s^2
    acc_watch_clip/                                       100 Hz, m/s^2
    gyro_clip/                                            50 Hz, rad/s
    orientation_clip/                                     50 Hz, rad
    pose/subject1/cam1/scene1/session1/walking.json       COCO keypoints, pixels
    wifi/, pressure/                                      time,value; dBm and hPa

    Four cameras see a trial from four sides. Phone in the right trouser pocket, watch on the
    right wrist. Scene 3 has the desk's classes, the others all others; carrying_heavy and
    carrying_light are done from subject 11 on.

    Irregularities of the whole tree: zero-padded, level-order, orientation-rate, tar-gz,
    stray-files. Of a share of the trials: letter-case, missing-view, no-video, frame-count,
    truncated-video, missing-sensor, empty-sensor, clock (hours off), no-fraction, unsorted-rows,
    duplicate-rows, garbage. With --force, files of the same names are replaced and all others
    are left as they are.
    """
    from pipeline.synthetic import mmact as tree
    from pipeline.synthetic.irregular import chosen as what_goes_wrong
    from pipeline.synthetic.mmact_trial import Form

    length_s = seconds or (2.0 if structure else 4.0)
    width, height = size or ((64, 36) if structure else (320, 180))
    form = Form(kinds=modalities, width=width, height=height)
    if structure:
        trials = tree.read_structure(structure, seed=seed, seconds=length_s)
    else:
        chosen = {name: tree.choose(value, *tree.CHOICES[name]) for name, value in counts.items()}
        names = (
            tree.some_classes(int(classes), chosen["scenes"], chosen["subjects"])
            if classes.isdigit()
            else sorted(_names(classes))
        )
        trials = tree.plan(seed=seed, classes=names, seconds=length_s, **chosen)
    if not trials:
        raise click.UsageError(
            f"nobody of --subjects {counts['subjects']} does any of --classes {classes} in "
            f"--scenes {counts['scenes']}: name others."
        )
    n_views = [len(trial.clips) for trial in trials]
    faults = what_goes_wrong(_names(irregular), modalities, max(n_views))
    beside = out.resolve().with_name(f"{out.resolve().name}.irregular.jsonl")
    write = partial(tree.write_tree, out, trials, form, irregular=faults, share=share)
    write = partial(write, link_films=structure is not None)
    what = f"trials, {sum(n_views)} views ({', '.join(modalities)}"
    kept = (list_file or beside) if faults else None
    _fabricate("mmact", out, what, len(trials), write, jobs, kept)
