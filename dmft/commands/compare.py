"""``dmft compare``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dmft.experiments.compare import Comparison

MANY = 12
"""Folds or people beyond which they are left to ``--json``."""


@click.command(short_help="Test whether one run is better than another.")
@click.argument("first", metavar="RUN")
@click.argument("second", metavar="RUN")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, every fold and person included.")
def compare(first: str, second: str, as_json: bool) -> None:
    """Compare the predictions of two runs on the same test records.

    A RUN is the folder of a run, of all its folds, or runs of an experiment: DIR#model=student.
    Further conditions are separated by commas, such as protocol=utd-50-50, fusion=late, seed=0 or
    modalities=skeleton+inertial.

    A positive difference says that the second is better. Intervals hold for new people where the
    cache says who is who. McNemar's test is exact, one for each seed.
    """
    from dmft.experiments.compare import compare as run
    from pipeline.common.settings import to_table

    comparison = run(first, second)
    click.echo(
        json.dumps(to_table(comparison), indent=2) if as_json else comparison_text(comparison)
    )


def comparison_text(comparison: Comparison) -> str:
    """Return a comparison as a few aligned lines."""
    seeds = comparison.seeds
    lines = [f"{comparison.n_records} test records, {comparison.n_pairs} pairs of runs"]
    for name, side in (("first", comparison.first), ("second", comparison.second)):
        ends = "" if side.interval is None else "({:.2%} to {:.2%})  ".format(*side.interval)
        lines.append(
            f"  {name:<12}{side.accuracy:>8.2%}  {ends}calibration error "
            f"{side.calibration_error:.2%}  {side.name}"
        )
    if comparison.difference_interval is None:
        ends = "(one person: no interval for new people can be had)"
    else:
        low, high = comparison.difference_interval
        ends = f"({low:+.2%} to {high:+.2%}, 95 %, drawing {comparison.interval_draws})"
    lines.append(f"  difference  {comparison.difference:>+8.2%}  {ends}")
    if comparison.seed_standard_error is not None:
        above = sum(gain > 0 for gain in seeds.values())
        error = comparison.seed_standard_error
        lines.append(
            f"  over seeds  +- {error:.2%} (standard error), better in {above} of {len(seeds)}"
        )
    for test in comparison.mcnemar:
        lines.append(
            f"  McNemar, seed {test.seed}: only the first right {test.only_first}, only the "
            f"second {test.only_second}, p = {test.p:.3g}"
        )
    if comparison.people is not None:
        people = comparison.people
        lines.append(f"  paired over {len(people)} people: p = {comparison.people_p:.3g}")
        if len(people) <= MANY:
            lines += [f"    person {name:<6}{gain:>+8.2%}" for name, gain in people.items()]
    folds, others = comparison.first.folds, comparison.second.folds
    if 1 < len(folds) <= MANY:
        lines += [f"    fold {f:<14}{a:>8.2%}{others[f]:>10.2%}" for f, a in folds.items()]
    return "\n".join(lines)
