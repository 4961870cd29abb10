"""The card of a published run: what its model is for, what it reached, and what is not known of it.

It is derived from the run's own files and says nothing that is not there, no place and no time, so
that the same run has the same card wherever it lies. GitHub and the Hugging Face hub show it.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from dmft.data.coverage import comparable
from dmft.evaluation.averages import mean_of_folds
from dmft.evaluation.calibration import read_calibration
from dmft.evaluation.fault_scores import INTACT, read_faults, suite_scores
from dmft.evaluation.metrics import Matrix, RunMetrics, majority_share, read_metrics
from dmft.evaluation.significance import bootstrap_macro_f1, wilson
from dmft.reports.compare import mean_faults
from dmft.reports.format import METRIC_NAMES, count, hits_of, interval, percent
from dmft.runs.folder import FOLDS_FILE, METRICS_FILE, fold_folders, read_info
from dmft.runs.in_words import trained_on
from dmft.runs.spec import RunInfo
from pipeline.common.words import first_of

MARK = (
    "<!-- Made by 'dmft publish' from the run's files; without this line it is kept as it is. -->"
)
N_WORST = 3
"""Classes that are named as the least known."""


def run_card(folder: Path) -> str:
    """The card of a run of one fold or of several, in Markdown.

    Raises:
        ContractError: it is no run, is not finished, or a file of it is damaged.
    """
    folders = fold_folders(folder)
    infos = [read_info(each) for each in folders]
    measured = [
        read_metrics(each / METRICS_FILE, info.spec.classes)
        for each, info in zip(folders, infos, strict=True)
        if (each / METRICS_FILE).exists() and not info.spec.fold.is_every_record
    ]
    metrics = mean_of_folds(measured) if len(measured) == len(infos) else None
    several = (folder / FOLDS_FILE).exists()
    calibrated = [read_calibration(each, info) for each, info in zip(folders, infos, strict=True)]
    parts = (
        _head(infos[0]),
        _purpose(infos, several=several),
        _data(infos),
        _figures(infos, metrics),
        _failing(folders, infos),
        _limits(infos[0], metrics, is_calibrated=None not in calibrated),
        _use(infos, several=several),
        _origin(infos),
    )
    return "\n".join(line for part in map(list, parts) if part for line in (*part, ""))


def _head(info: RunInfo) -> Iterator[str]:
    spec, source = info.spec, info.source
    yield from ("---", "library_name: dmft", "tags:", "- human-activity-recognition")
    yield from (*(f"- {name}" for name in spec.modalities), "---", "", MARK, "")
    name = spec.model_name[:1].upper() + spec.model_name[1:]
    dataset = _plain(source.dataset) or "an unnamed data set"
    yield f"# {name} for {dataset}: {', '.join(spec.modalities)}"
    if source.fabricated:
        yield from ("", "**Trained on fabricated recordings: it knows nothing of people.**")


def _purpose(infos: Sequence[RunInfo], *, several: bool) -> Iterator[str]:
    spec = infos[0].spec
    inputs = " and ".join(spec.modalities)
    absent = ", any of which may be absent" if len(spec.modalities) > 1 else ""
    yield from (
        "## Intended use",
        "",
        f"Research on recognising {len(spec.classes)} activities in recordings of "
        f"{inputs}{absent}. A recording has been cut to one activity, by people, sensors and "
        "places like those of the data set. Whatever else is shown to it is named as one of the "
        "activities too.",
        "",
        "Not for decisions about a person's health, safety, work or freedom.",
    )
    if several:
        yield from (
            "",
            f"This run holds {count(len(infos), 'model')}, one a fold: they measure its settings "
            "and none is the one to use. That is trained on every record, with the same settings "
            "and `--on all`.",
        )
    yield from ("", f"The activities: {', '.join(map(_plain, spec.classes))}.")


def _data(infos: Sequence[RunInfo]) -> Iterator[str]:
    spec, source = infos[0].spec, infos[0].source
    yield from ("## Data", "")
    if len(infos) == 1:
        yield trained_on(infos[0])
    else:
        n = sum(info.spec.n_test for info in infos)
        yield (
            f"Trained by the protocol `{source.protocol.name}` on {count(len(infos), 'fold')}, "
            f"each model without the records that it was tested on, {n} together."
        )
    covers, _ = comparable(source.coverage, source.shared, fabricated=source.fabricated)
    yield from ("", f"Of the published data set: {covers or 'not known'}.", "")
    yield from ("| modality | patches | features | encoding |", "| --- | --: | --: | --- |")
    for name, stored in spec.stored.items():
        encoding = source.encodings.get(name, {})
        shown = ", ".join(f"{k} {v}" for k, v in encoding.items() if len(str(v)) < 20)
        yield f"| {name} | {stored.n_patches} | {stored.n_features} | {shown} |"
    shared = [
        f"{n} by {modality} ({info.spec.fold.name})"
        for info in infos
        for modality, n in info.source.shared.items()
    ]
    if shared:
        counts = first_of(shared, 8)
        yield from ("", f"**Test records whose very recording is trained on: {counts}.**")
    if spec.validation is not None:
        yield from (
            "",
            f"Of the training side some were held out by {spec.validation.by} and watched; the "
            f"{spec.validation.keep} epoch's weights are the model.",
        )


def _figures(infos: Sequence[RunInfo], metrics: RunMetrics | None) -> Iterator[str]:
    yield from ("## Figures", "")
    if metrics is None:
        yield "None: no record was left to measure it on."
        return
    several, of_folds = metrics.n_folds > 1, ""
    if several:
        of_folds = (
            f"Figures are means of {metrics.n_folds} folds (accuracy deviates by "
            f"{percent(metrics.accuracy_spread)} over them), intervals of all their records. "
        )
    yield (
        f"On {metrics.n_records} test records; the protocol quotes {METRIC_NAMES[metrics.metric]}. "
        f"{of_folds}Intervals are 95 %, Wilson's for accuracy and a bootstrap over records for "
        "macro F1; they take records as independent, which those of one person are not."
    )
    yield from ("", "| whose vote | records | accuracy | 95 % | macro F1 | 95 % |")
    yield "| --- | --: | --: | --- | --: | --- |"
    yield _row("all modalities", metrics.accuracy, metrics.macro_f1, metrics.confusion)
    if len(metrics.modalities) > 1:
        for name, own in metrics.modalities.items():
            yield _row(f"{name} alone", own.accuracy, own.macro_f1, own.confusion)
    nearest = percent(metrics.nearest_neighbour_accuracy)
    yield from (
        "",
        f"One nearest neighbour on the same features reaches {nearest} accuracy, naming the most "
        f"frequent class always {percent(majority_share(metrics.confusion))}.",
    )
    if several:
        yield from ("", "| fold | trained on | tested on | accuracy | macro F1 |")
        yield "| --- | --: | --: | --: | --: |"
        for info, fold in zip(infos, metrics.folds, strict=True):
            spec = info.spec
            yield (
                f"| {_plain(fold.fold)} | {spec.n_train} | {spec.n_test} | "
                f"{percent(fold.accuracy)} | {percent(fold.macro_f1)} |"
            )
    if metrics.missing_modalities:
        yield from ("", "| with these modalities only | accuracy | macro F1 |")
        yield "| --- | --: | --: |"
        for subset in metrics.missing_modalities:
            names = ", ".join(subset.modalities)
            yield f"| {names} | {percent(subset.accuracy)} | {percent(subset.macro_f1)} |"


def _failing(folders: Sequence[Path], infos: Sequence[RunInfo]) -> Iterator[str]:
    """What is left with a modality at fault, where ``dmft robustness`` has measured it."""
    measured = [read_faults(each, info) for each, info in zip(folders, infos, strict=True)]
    if not (means := mean_faults(measured)):
        return
    metric = infos[0].source.protocol.metric
    learnt_from = infos[0].spec.config.doubt.faults if infos[0].spec.config.doubt.epochs else ()
    yield from (
        "## Failing modalities",
        "",
        f"The {METRIC_NAMES[metric]} on the same records with one modality at fault, a mean over "
        "modalities and sizes of the fault; with none at fault it is "
        f"{percent(means[INTACT].score(metric))}.",
        "",
        f"| fault | {METRIC_NAMES[metric]} | met in training |",
        "| --- | --: | --- |",
    )
    for family, score in suite_scores(means, metric, learnt_from).families.items():
        met = "yes" if family in learnt_from else "no"
        yield f"| {family} | {percent(score)} | {met} |"


def _plain(name: str) -> str:
    """A name from a file as words, never as markup."""
    return html.escape(" ".join(name.split()), quote=False).replace("|", "&#124;")


def _row(name: str, accuracy: float, macro_f1: float, matrix: Matrix) -> str:
    hits, n = hits_of(matrix)
    return (
        f"| {name} | {n} | {percent(accuracy)} | {interval(wilson(hits, n))} | {percent(macro_f1)} "
        f"| {interval(bootstrap_macro_f1(matrix))} |"
    )


def _limits(info: RunInfo, metrics: RunMetrics | None, *, is_calibrated: bool) -> Iterator[str]:
    yield from ("## Limits", "")
    yield (
        "- Nothing is known of people, rooms, sensors, ways of wearing them or activities unlike "
        "those of the data set; nothing of who is in it beyond what its publishers say."
    )
    if metrics is not None:
        known = list(zip(metrics.class_accuracy, metrics.classes, strict=True))
        worst = sorted((part, name) for part, name in known if part is not None)[:N_WORST]
        least_known = ", ".join(f"{_plain(name)} ({percent(part)})" for part, name in worst)
        yield f"- Least known: {least_known}."
        unseen = [name for part, name in known if part is None]
        if unseen:
            yield f"- There was no test record of {first_of([*map(_plain, unseen)], 12)}."
    yield (
        "- Probabilities are calibrated on people of the training side (`calibration.json`)."
        if is_calibrated
        else "- Probabilities are not calibrated: how sure it is says little of how right it is."
    )
    faults = info.spec.config.doubt.faults if info.spec.config.doubt.epochs else ()
    yield (
        f"- It has learnt to doubt a modality that shows {', '.join(faults)}; other faults it has "
        "never seen."
        if faults
        else "- It has not learnt what a failing sensor looks like."
    )
    yield "- Licence: not stated; ask whoever trained it, and whoever made the recordings."


def _use(infos: Sequence[RunInfo], *, several: bool) -> Iterator[str]:
    fold = f'["{infos[0].spec.fold.name}"]' if several else ""
    yield from (
        "## Use",
        "",
        "`PLACE` is where this lies, as `s3://bucket/run`, `hf://USER/NAME` or a folder. Every "
        "file is held against `SHA256SUMS`; weights are safetensors, and nothing is unpickled.",
        "",
        "```python",
        "import dmft",
        "",
        f'run = dmft.load("PLACE"){fold}',
        'run.predict(raw="FOLDER OF RECORDINGS")  # a pandas.DataFrame',
        "```",
    )
    if network := infos[0].spec.network:
        yield from (
            "",
            f"The network is `{network.name}`, whose file has to be there and have SHA-256 "
            f"`{network.source_sha256}`.",
        )


def _origin(infos: Sequence[RunInfo]) -> Iterator[str]:
    spec, source = infos[0].spec, infos[0].source
    outcome = infos[0].finished
    versions = ", ".join(f"{name} {version}" for name, version in source.versions.items())
    yield from (
        "## Where it comes from",
        "",
        f"- {outcome.n_parameters:,} parameters, {outcome.saved_bytes / 1e6:.2f} MB",
        f"- cache `{spec.cache_fingerprint}`",
        f"- manifest `{source.manifest_sha256 or 'not noted'}`",
        f"- seed {spec.seed}, trained with {versions} on {spec.device}",
    )
    if spec.teachers:
        yield f"- taught by {', '.join(f'`{teacher[:12]}`' for teacher in spec.teachers)}"
    for info in infos:
        yield f"- weights of {info.spec.fold.name} `{info.finished.model_sha256}`"
    yield "- configuration, protocol and encoding in full: `run.json`"
