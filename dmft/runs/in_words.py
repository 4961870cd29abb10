"""What a run was trained on, in words, for the cards of its exports and publications."""

from __future__ import annotations

from dmft.runs.spec import RunInfo


def trained_on(run: RunInfo) -> str:
    """On what it was trained, and what its figures are of."""
    spec, protocol = run.spec, run.source.protocol.name
    means = "Accuracy is the part of the test records whose first place is right."
    if not spec.fold.is_every_record:
        return (
            f"Trained on {spec.n_train} records by the protocol `{protocol}`, fold "
            f"`{spec.fold.name}`, and tested on {spec.n_test} others. {means}"
        )
    if not run.source.expected:
        return f"Trained on all {spec.n_train} records; none was left to test it on."
    found = run.source.expected
    return (
        f"Trained on all {spec.n_train} records; none was left to test it on. What to expect: "
        f"models of the same settings, each tested on records that it had not seen, by the "
        f"protocol `{protocol}`, reached {found['accuracy']:.2%} accuracy (mean of "
        f"{found['n_folds']:.0f} folds, deviation {found['accuracy_spread']:.2%}) and "
        f"{found['macro_f1']:.2%} macro F1. {means}"
    )
