"""``dmft compare``."""

from __future__ import annotations

import json
from typing import Any

import click

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

    report = run(first, second)
    click.echo(json.dumps(report, indent=2) if as_json else comparison_text(report))


def comparison_text(report: dict[str, Any]) -> str:
    """Return a comparison as a few aligned lines."""
    low, high = report["difference_interval"]
    draws = report["interval_draws"]
    seeds = report["seeds"]
    lines = [f"{report['n_records']} test records, {report['n_pairs']} pairs of runs"]
    for name in ("first", "second"):
        side = report[name]
        ends = f"{side['interval'][0]:.2%} to {side['interval'][1]:.2%}"
        lines.append(
            f"  {name:<12}{side['accuracy']:>8.2%}  ({ends})  calibration error "
            f"{side['calibration_error']:.2%}  {side['name']}"
        )
    lines.append(
        f"  difference  {report['difference']:>+8.2%}  ({low:+.2%} to {high:+.2%}, 95 %, "
        f"drawing {draws})"
    )
    if report["seed_standard_error"] is not None:
        above = sum(gain > 0 for gain in seeds.values())
        error = report["seed_standard_error"]
        lines.append(
            f"  over seeds  +- {error:.2%} (standard error), better in {above} of {len(seeds)}"
        )
    for test in report["mcnemar"]:
        lines.append(
            f"  McNemar, seed {test['seed']}: only the first right {test['only_first']}, only the "
            f"second {test['only_second']}, p = {test['p']:.3g}"
        )
    if "people" in report:
        people = report["people"]
        lines.append(f"  paired over {len(people)} people: p = {report['people_p']:.3g}")
        if len(people) <= MANY:
            lines += [f"    person {name:<6}{gain:>+8.2%}" for name, gain in people.items()]
    folds = report["first"]["folds"]
    if 1 < len(folds) <= MANY:
        others = report["second"]["folds"]
        lines += [f"    fold {f:<14}{a:>8.2%}{others[f]:>10.2%}" for f, a in folds.items()]
    return "\n".join(lines)
