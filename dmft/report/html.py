"""The report as one page that needs nothing else: no network, no file beside it.

Tables are written here and stand without JavaScript; figures are drawn in the reader's browser
from the numbers that the page carries. Every word that comes from a file is escaped: in the HTML
by :func:`html.escape`, in the embedded JSON by writing ``<`` as an escape.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any

from dmft.commands.show import commonest_share
from dmft.report.intervals import bootstrap_macro_f1, sign_test, wilson
from dmft.report.load import Measured, MeasuredFold, Prediction
from dmft.run_folder import software_versions
from pipeline.contract.settings import to_table

METRIC_NAMES = {"accuracy": "accuracy", "macro_f1": "macro F1"}
WHOLE = "all modalities"
N_PAIRS = 15
N_RECORDS_SHOWN = 12
MAX_ERRORS = 2000
"""Most wrong records of a run that the page carries for the matrix's cells."""


def write_report(
    runs: Sequence[Measured], path: Path, *, skipped: Sequence[str] = (), title: str | None = None
) -> int:
    """Write the page; return its size in bytes."""
    page = render_report(runs, skipped=skipped, title=title).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(page)
    return len(page)


def render_report(
    runs: Sequence[Measured], *, skipped: Sequence[str] = (), title: str | None = None
) -> str:
    """Return the page of some runs, the first of them open in detail."""
    named = title or _title(runs)
    made = datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")
    n_folds = sum(len(run.folds) for run in runs)
    sections = [
        _notes(skipped),
        _headline(runs),
        _comparison(runs) if len(runs) > 1 else "",
        _kinds(runs),
        _missing(runs),
        _detail(runs),
    ]
    links = "".join(
        f'<a href="#{place}">{text}</a>'
        for place, text in (
            ("headline", "Headline"),
            ("runs", "All runs"),
            ("kinds", "Teacher and students"),
            ("missing", "Missing modalities"),
            ("detail", "One run in detail"),
        )
        if any(f'id="{place}"' in section for section in sections)
    )
    parts = {
        "title": escape(named),
        "subtitle": escape(
            f"{_count(len(runs), 'run')}, {_count(n_folds, 'trained model')}; "
            f"written {made} by dmft {software_versions()['dmft']}"
        ),
        "contents": f'<nav class="contents" aria-label="Contents">{links}</nav>',
        "css": _file("base.css"),
        "js": _file("base.js") + _file("page.js"),
        "main": "\n".join(sections),
        "json": embedded(_plain(runs)),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _file("page.html"))


def embedded(content: Any) -> str:
    """JSON that cannot end the script element which holds it."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


# -- what the figures are drawn from ---------------------------------------------------------------


def _plain(runs: Sequence[Measured]) -> dict[str, Any]:
    classes: list[list[str]] = []
    for run in runs:
        names = list(run.info.classes)
        if names not in classes:
            classes.append(names)
    return {
        "classes": classes,
        "runs": [_plain_run(run, classes.index(list(run.info.classes))) for run in runs],
        "settings": [
            {
                "name": _setting_name(group, runs),
                "folds": {
                    fold: statistics.fmean(values) for fold, values in _fold_values(group).items()
                },
            }
            for group in _settings(runs)
        ],
    }


def _plain_run(run: Measured, classes: int) -> dict[str, Any]:
    figures = run.figures
    hits, n = _hits(figures["confusion"])
    confusion = {WHOLE: figures["confusion"]}
    if len(figures["modalities"]) > 1:
        confusion |= {
            name: of["confusion"] for name, of in figures["modalities"].items() if "confusion" in of
        }
    return {
        "name": run.name,
        "kind": run.info.kind,
        "classes": classes,
        "pooled": hits / max(n, 1),
        "interval": [round(bound, 5) for bound in wilson(hits, n)],
        "baseline": figures["nearest_neighbour_accuracy"],
        "confusion": confusion,
        "errors": [
            [each.record, each.label, each.predicted, round(each.probability, 3)]
            for each in _errors(run)[:MAX_ERRORS]
        ],
        "curves": [
            {
                "fold": fold.info.fold.name,
                "loss": [round(float(epoch["loss"]), 4) for epoch in fold.epochs],
                "accuracy": [round(float(epoch["accuracy"]), 4) for epoch in fold.epochs],
            }
            for fold in run.folds
            if fold.epochs
        ],
    }


def _errors(run: Measured) -> list[Prediction]:
    return [each for each in run.predictions if each.label != each.predicted]


# -- all runs --------------------------------------------------------------------------------------


def _title(runs: Sequence[Measured]) -> str:
    protocols = sorted({run.info.protocol.name for run in runs})
    what = f"{runs[0].name}, " if len(runs) == 1 else ""
    return f"{what}{' and '.join(protocols)}"


def _notes(skipped: Sequence[str]) -> str:
    if not skipped:
        return ""
    lines = "".join(f"<li>{escape(line)}</li>" for line in skipped)
    return f'<div class="warn" role="note">Not shown:<ul>{lines}</ul></div>'


def _headline(runs: Sequence[Measured]) -> str:
    if len(runs) == 1:
        cards = _cards_of_run(runs[0])
    else:
        cards = [_card_of_setting(group, runs) for group in _settings(runs)[:12]]
    note = (
        "Intervals are 95 %: Wilson's for accuracy and a bootstrap over test records for macro F1. "
        "They take test records as independent; records of one person are not, so where folds "
        "are people the spread over folds says more."
    )
    return (
        f'<h2 id="headline">Headline</h2><div class="cards">{"".join(cards)}</div>'
        f'<p class="note">{note}</p>'
    )


def _cards_of_run(run: Measured) -> list[str]:
    figures, matrix = run.figures, run.figures["confusion"]
    hits, n = _hits(matrix)
    of_folds = f"mean of {len(run.folds)} folds" if len(run.folds) > 1 else "one fold"
    spread = f", ± {_percent(figures['accuracy_spread'])} over folds" if len(run.folds) > 1 else ""
    pooled = f"pooled {_percent(hits / max(n, 1))}, " if len(run.folds) > 1 else ""
    f1_pooled = f"pooled {_percent(figures['pooled_macro_f1'])}, " if len(run.folds) > 1 else ""
    quoted = run.info.protocol.metric
    cards = [
        (
            "Accuracy" + (" (the protocol's metric)" if quoted == "accuracy" else ""),
            _percent(figures["accuracy"]),
            f"{of_folds}{spread}; {pooled}95 % interval {_interval(wilson(hits, n))}",
        ),
        (
            "Macro F1" + (" (the protocol's metric)" if quoted != "accuracy" else ""),
            _percent(figures["macro_f1"]),
            f"{of_folds}; {f1_pooled}95 % interval {_interval(bootstrap_macro_f1(matrix))}",
        ),
        (
            "Nearest neighbour",
            _percent(figures["nearest_neighbour_accuracy"]),
            "accuracy of the baseline on the same features",
        ),
        ("Most frequent class", _percent(commonest_share(dict(figures))), "naming it always"),
        (
            "Test records",
            f"{n:,}",
            f"{n - hits:,} wrong; {figures['n_without_modality']:,} without any modality",
        ),
        (
            "Size",
            f"{figures['saved_bytes'] / 1e6:.2f} MB",
            f"{figures['n_parameters']:,} weights; "
            f"{figures['seconds_per_epoch']:.2f} s an epoch on {run.info.device}",
        ),
    ]
    return [_card(*each) for each in cards]


def _card_of_setting(group: Sequence[Measured], runs: Sequence[Measured]) -> str:
    key = "macro_f1" if group[0].info.protocol.metric != "accuracy" else "accuracy"
    values = [run.figures[key] for run in group]
    matrix = group[0].figures["confusion"]
    bounds = wilson(*_hits(matrix)) if key == "accuracy" else bootstrap_macro_f1(matrix)
    sure = (
        f"mean of {_seeds(group)}, ± {_percent(statistics.stdev(values))} over seeds"
        if len(values) > 1
        else f"one seed; 95 % interval {_interval(bounds)}"
    )
    return _card(
        _setting_name(group, runs),
        _percent(statistics.fmean(values)),
        f"{METRIC_NAMES[key]}; {sure}",
    )


def _card(what: str, value: str, sure: str) -> str:
    return (
        f'<div class="card"><div class="what">{escape(what)}</div>'
        f'<div class="value">{escape(value)}</div><div class="sure">{escape(sure)}</div></div>'
    )


def _comparison(runs: Sequence[Measured]) -> str:
    rows = []
    several = len({run.info.protocol.name for run in runs}) > 1
    for index, run in enumerate(runs):
        figures = run.figures
        hits, n = _hits(figures["confusion"])
        f1 = bootstrap_macro_f1(figures["confusion"])
        rows.append(
            [
                Raw(f'<a href="#detail" data-run="{index}">{escape(run.name)}</a>'),
                run.info.kind,
                *([run.info.protocol.name] if several else []),
                Raw(escape(" + ".join(run.info.modalities)).replace(" ", "&nbsp;")),
                Number(run.info.seed, str(run.info.seed)),
                Number(len(run.folds), str(len(run.folds))),
                _share(figures["accuracy"]),
                _share(figures["accuracy_spread"]) if len(run.folds) > 1 else "",
                Number(hits / max(n, 1), _interval(wilson(hits, n))),
                _share(figures["macro_f1"]),
                Number(figures["pooled_macro_f1"], _interval(f1)),
                _share(figures["nearest_neighbour_accuracy"]),
                Number(figures["n_parameters"], f"{figures['n_parameters']:,}"),
                Number(figures["seconds_per_epoch"], f"{figures['seconds_per_epoch']:.2f} s"),
            ]
        )
    head = ["run", "model", *(["protocol"] if several else []), "modalities", "#seed", "#folds"]
    head += ["#accuracy", "#± over folds", "#95 % of accuracy", "#macro F1", "#95 % of macro F1"]
    head += ["#nearest neighbour", "#weights", "#an epoch"]
    caption = "Accuracy and macro F1 are means over folds; intervals are of all folds' records."
    n_hidden = max(len(_settings(runs)) - 6, 0)
    more = f" The first 6 settings; {n_hidden} more are in the table." if n_hidden else ""
    return (
        '<h2 id="runs">All runs</h2>'
        + table(head, rows, caption=caption, identity="runs-table")
        + _figure("overview", "Accuracy of every run, over the test records of all its folds.")
        + _figure("by-fold", f"Accuracy of each fold, mean over seeds.{more}")
    )


def _kinds(runs: Sequence[Measured]) -> str:
    """Teacher, raw student and distilled student side by side (the paper's Table 5)."""
    places: dict[tuple[str, str], dict[str, list[Measured]]] = {}
    for run in runs:
        key = (run.info.protocol.name, " + ".join(run.info.modalities))
        places.setdefault(key, {}).setdefault(run.info.kind, []).append(run)
    rows = []
    for (protocol, modalities), kinds in places.items():
        if len(kinds) < 2:
            continue
        metric = "accuracy" if _any(kinds).info.protocol.metric == "accuracy" else "macro_f1"
        means = {
            kind: statistics.fmean(run.figures[metric] for run in of) for kind, of in kinds.items()
        }
        cells: list[Cell] = [protocol, modalities, METRIC_NAMES[metric]]
        cells += [
            Number(
                means.get(kind),
                f"{_percent(means[kind])}{_over_seeds(kinds[kind], metric)}"
                if kind in means
                else "–",
            )
            for kind in ("teacher", "student", "distilled")
        ]
        cells += [_gain(means, "distilled", "student"), _gain(means, "distilled", "teacher")]
        cells += [_paired(kinds)]
        rows.append(cells)
    if not rows:
        return ""
    head = ["protocol", "modalities", "metric", "#teacher", "#raw student", "#distilled"]
    head += ["#distilled - raw", "#distilled - teacher", "same records, distilled against raw"]
    note = (
        "The last column counts records that only one of the two got right, and the two-sided p "
        "of McNemar's exact test; seeds that both have are compared with each other. Runs with "
        "other configurations are averaged here as if they were seeds: pass only what belongs "
        "together."
    )
    return (
        '<h2 id="kinds">Teacher, raw student and distilled student</h2>'
        f'{table(head, rows)}<p class="note">{note}</p>'
    )


def _paired(kinds: Mapping[str, Sequence[Measured]]) -> str:
    """Records that only the distilled, and only the raw student of the same seed got right."""
    raw = {run.info.seed: run for run in kinds.get("student", ())}
    only_distilled = only_raw = 0
    for run in kinds.get("distilled", ()):
        other = raw.get(run.info.seed)
        if other is None:
            continue
        hits = {each.record: each.label == each.predicted for each in other.predictions}
        for each in run.predictions:
            if each.record in hits and (each.label == each.predicted) != hits[each.record]:
                only_distilled += each.label == each.predicted
                only_raw += hits[each.record]
    if not only_distilled + only_raw:
        return "–"
    p = sign_test(only_distilled, only_raw)
    return f"{only_distilled} to {only_raw}, p = {p:.2g}"


def _missing(runs: Sequence[Measured]) -> str:
    """Accuracy with fewer modalities, a mean over the seeds of each setting."""
    rows: list[list[Cell]] = []
    for group in _settings(runs):
        first, name = group[0], _setting_name(group, runs)
        measured = [run.figures for run in group if run.figures.get("missing_modalities")]
        if not measured:
            continue
        n_runs = Number(len(measured), str(len(measured)))
        whole = statistics.fmean(of["accuracy"] for of in measured)
        every = [dict(of, modalities=list(first.info.modalities)) for of in measured]
        sets = [every, *zip(*(of["missing_modalities"] for of in measured), strict=True)]
        for each in sets:
            accuracy = statistics.fmean(of["accuracy"] for of in each)
            kept = " + ".join(each[0]["modalities"])
            change = Number(0.0, "–") if each is every else _change(accuracy - whole)
            n = each[0]["n_records"]
            rows.append([name, kept, Number(n, f"{n:,}"), n_runs, _share(accuracy), change])
            rows[-1].append(_share(statistics.fmean(of["macro_f1"] for of in each)))
    if not rows:
        return ""
    head = ["trained", "test records have", "#records", "#seeds", "#accuracy", "#change"]
    note = (
        "Modalities are taken away before the network. A teacher's streams then also miss what "
        "they were fused with; a student's streams never see each other. Means over seeds."
    )
    return (
        '<h2 id="missing">Missing modalities</h2>'
        f'<p class="note">{note}</p>{table([*head, "#macro F1"], rows)}'
    )


# -- one run ---------------------------------------------------------------------------------------


def _detail(runs: Sequence[Measured]) -> str:
    options = "".join(
        f'<option value="{index}">{escape(f"{run.name} ({run.info.kind})")}</option>'
        for index, run in enumerate(runs)
    )
    hidden = " hidden" if len(runs) == 1 else ""
    chooser = (
        f'<div class="bar controls"{hidden}><label for="run">Run</label>'
        f'<select id="run">{options}</select></div>'
    )
    sections = "".join(_run_section(index, run) for index, run in enumerate(runs))
    return f'<h2 id="detail">One run in detail</h2>{chooser}{sections}'


def _run_section(index: int, run: Measured) -> str:
    info = run.info
    about = {
        "model": info.kind,
        "data set": info.dataset or "not recorded",
        "protocol": f"{info.protocol.name}: {_count(len(run.folds), 'fold')}, "
        f"metric {info.protocol.metric}",
        "modalities": ", ".join(info.modalities),
        "seed": str(info.seed),
        "epochs": str(info.config.training.epochs),
    }
    note = (
        '<p class="note">In a teacher a modality\'s temporal stream has seen the other '
        "modalities, so its figures are not those of the modality alone.</p>"
        if info.kind == "teacher" and len(info.modalities) > 1
        else ""
    )
    return (
        f'<section data-run="{index}" aria-label="{escape(run.name)}">'
        f"<h3>{escape(run.name)}</h3>{_facts(about)}"
        f"<h3>Folds</h3>{_fold_table(run)}"
        f"<h3>Modalities and streams</h3>{_modality_table(run)}{note}"
        f"<h3>Confusion matrix</h3>{_confusion_figure(run)}"
        f"<h3>Most confused pairs</h3>{_pairs(run)}"
        f"<h3>Accuracy of each class</h3>{_class_figure(run)}"
        f"<h3>Training</h3>{_curve_figure()}"
        f"<h3>Provenance</h3>{_provenance(run)}</section>"
    )


def _fold_table(run: Measured) -> str:
    rows: list[list[Cell]] = []
    for fold in run.folds:
        hits, n = _hits(fold.figures["confusion"])
        rows.append(
            [
                fold.info.fold.name,
                Number(fold.info.n_train, f"{fold.info.n_train:,}"),
                Number(fold.info.n_test, f"{fold.info.n_test:,}"),
                Number(n - hits, f"{n - hits:,}"),
                _share(fold.figures["accuracy"]),
                Number(hits / max(n, 1), _interval(wilson(hits, n))),
                _share(fold.figures["macro_f1"]),
                _share(fold.figures["nearest_neighbour_accuracy"]),
            ]
        )
    head = ["fold", "#train", "#test", "#wrong", "#accuracy", "#95 %", "#macro F1"]
    return table([*head, "#nearest neighbour"], rows)


def _modality_table(run: Measured) -> str:
    rows: list[list[Cell]] = []
    for name, of in run.figures["modalities"].items():
        hits, n = _hits(of["confusion"]) if "confusion" in of else (0, 0)
        rows.append(
            [
                name,
                Number(n, f"{n:,}" if n else "–"),
                _share(of["accuracy"]),
                Number(of["accuracy"], _interval(wilson(hits, n)) if n else "–"),
                _share(of["spatial"]["accuracy"]),
                _share(of["temporal"]["accuracy"]),
                _share(of["macro_f1"]),
            ]
        )
    head = ["modality", "#records", "#accuracy", "#95 %", "#spatial", "#temporal", "#macro F1"]
    return table(head, rows)


def _confusion_figure(run: Measured) -> str:
    votes = [WHOLE]
    modalities = run.figures["modalities"]
    if len(modalities) > 1:
        votes += [name for name, of in modalities.items() if "confusion" in of]
    old = (
        '<p class="note">This run was measured by an earlier version, without matrices by '
        "modality: remove its metrics.json and train again to measure it anew.</p>"
        if len(modalities) > 1 and len(votes) == 1
        else ""
    )
    controls = _select("Vote of", [(name, name) for name in votes])
    controls += _select("Cells", [("counts", "records"), ("percent", "percent of the row")])
    status = '<p class="status soft" role="status"></p>'
    return old + _figure(
        "",
        "Blue cells on the diagonal are right, orange ones off it are wrong.",
        kind="confusion",
        controls=controls,
        after=status,
    )


def _class_figure(run: Measured) -> str:
    order = [("given", "as in the data set"), ("worst", "worst first")]
    caption = "Each modality's own vote beside the vote of all; every series has its own mark."
    return _figure("", caption, kind="by-class", controls=_select("Classes", order))


def _curve_figure() -> str:
    caption = (
        "Of the training records. There is no curve of test records: nothing is chosen on them, "
        "and the weights are those of the last epoch."
    )
    choices = [("loss", "loss"), ("accuracy", "accuracy")]
    return _figure("", caption, kind="curves", controls=_select("Show", choices))


def _pairs(run: Measured) -> str:
    names = run.info.classes
    cells = [
        (count, i, j)
        for i, row in enumerate(run.figures["confusion"])
        for j, count in enumerate(row)
        if i != j and count
    ]
    cells.sort(key=lambda cell: (-cell[0], cell[1], cell[2]))
    if not cells:
        return "<p>No record was taken for another class.</p>"
    behind: dict[tuple[int, int], list[Prediction]] = {}
    for each in _errors(run):
        behind.setdefault((each.label, each.predicted), []).append(each)
    totals = [sum(row) for row in run.figures["confusion"]]
    rows: list[list[Cell]] = []
    for count, i, j in cells[:N_PAIRS]:
        found = sorted(behind.get((i, j), []), key=lambda each: -each.probability)
        shown = ", ".join(
            f"{each.record} ({each.probability:.0%})" for each in found[:N_RECORDS_SHOWN]
        )
        more = len(found) - N_RECORDS_SHOWN
        rows.append(
            [
                names[i],
                names[j],
                Number(count, str(count)),
                Number(count / totals[i], _percent(count / totals[i])),
                (shown or "not listed") + (f" and {more} more" if more > 0 else ""),
            ]
        )
    head = ["true class", "taken for", "#records", "#of the class", "records (certainty)"]
    n_more = len(cells) - N_PAIRS
    caption = f"{n_more} further pairs are in the matrix." if n_more > 0 else ""
    return table(head, rows, caption=caption)


def _provenance(run: Measured) -> str:
    info = run.info
    versions = ", ".join(f"{k} {v}" for k, v in (info.versions or {}).items())
    facts = {
        "folder": str(_folder(run)),
        "cache": info.cache_path,
        "cache's fingerprint": info.cache_fingerprint,
        "encoder's weights": info.encoder_weights or "none",
        "seed": str(info.seed),
        "device": info.device,
        "versions": versions or "not recorded",
    }
    if info.teachers:
        facts["teachers"] = ", ".join(info.teachers)
    folds: list[list[Cell]] = [
        [
            fold.info.fold.name,
            fold.info.split_hash[:16],
            fold.info.identity[:16],
            fold.info.model_sha256[:16] or "not recorded",
        ]
        for fold in run.folds
    ]
    rules = table(["fold", "split", "run's identity", "model file"], folds, caption="SHA-256")
    config = escape(json.dumps(to_table(info.config), indent=2))
    encoding = escape(json.dumps(to_table(info)["encodings"], indent=2))
    protocol = escape(json.dumps(to_table(info.protocol), indent=2))
    return (
        f"{_facts(facts)}<details><summary>Folds by hash</summary>{rules}</details>"
        f"<details><summary>Configuration</summary><pre>{config}</pre></details>"
        f"<details><summary>Encoding of the cache</summary><pre>{encoding}</pre></details>"
        f"<details><summary>Protocol</summary><pre>{protocol}</pre></details>"
    )


def _folder(run: Measured) -> Path:
    first: MeasuredFold = run.folds[0]
    return first.folder if len(run.folds) == 1 else first.folder.parent


# -- settings: runs that differ in the seed alone --------------------------------------------------


def _settings(runs: Sequence[Measured]) -> list[list[Measured]]:
    groups: dict[str, list[Measured]] = {}
    for run in runs:
        groups.setdefault(run.setting, []).append(run)
    return list(groups.values())


def _setting_name(group: Sequence[Measured], runs: Sequence[Measured]) -> str:
    """Kind and modalities; the run's name too where those do not tell settings apart."""
    first = group[0]

    def words(run: Measured) -> str:
        several = len({each.info.protocol.name for each in runs}) > 1
        return f"{run.info.kind}, {' + '.join(run.info.modalities)}" + (
            f", {run.info.protocol.name}" if several else ""
        )

    alike = Counter(words(each[0]) for each in _settings(runs))
    return f"{words(first)} ({first.name})" if alike[words(first)] > 1 else words(first)


def _fold_values(group: Sequence[Measured]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for run in group:
        for fold in run.folds:
            values.setdefault(fold.info.fold.name, []).append(fold.figures["accuracy"])
    return values


def _any(kinds: Mapping[str, Sequence[Measured]]) -> Measured:
    return next(iter(kinds.values()))[0]


# -- HTML ------------------------------------------------------------------------------------------


class Raw(str):
    """HTML that is already escaped."""

    __slots__ = ()


class Number(str):
    """A cell that sorts by a value which is not its text."""

    __slots__ = ("value",)
    value: float | None

    def __new__(cls, value: float | None, shown: str) -> Number:
        """Make a cell that shows ``shown``."""
        made = super().__new__(cls, shown)
        made.value = value
        return made


Cell = str


def table(
    head: Sequence[str], rows: Iterable[Sequence[Cell]], *, caption: str = "", identity: str = ""
) -> str:
    """A sortable table; a heading that begins with ``#`` is of numbers."""
    numbers = [name.startswith("#") for name in head]
    heads = "".join(
        f'<th scope="col"{" class=n" if number else ""}>{escape(name.lstrip("#"))}</th>'
        for name, number in zip(head, numbers, strict=True)
    )
    body = "".join(
        "<tr>" + "".join(_cell(c, n) for c, n in zip(row, numbers, strict=True)) + "</tr>"
        for row in rows
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    name = f' id="{identity}"' if identity else ""
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="Table"><table class="sortable"'
        f"{name}>{said}<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, number: bool) -> str:
    text = cell if isinstance(cell, Raw) else escape(cell)
    value = cell.value if isinstance(cell, Number) else None
    sort = f' data-value="{value:.6g}"' if value is not None else ""
    return f"<td{' class=n' if number else ''}{sort}>{text}</td>"


def _figure(
    identity: str, caption: str, *, kind: str = "", controls: str = "", after: str = ""
) -> str:
    names = f' id="{identity}"' if identity else f' class="{kind}"'
    bar = f'<div class="bar controls">{controls}</div>' if controls else ""
    return (
        f'<figure{names}>{bar}<div class="drawing wide"></div>{after}'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _select(label: str, options: Sequence[tuple[str, str]]) -> str:
    choices = "".join(
        f'<option value="{escape(value)}">{escape(shown)}</option>' for value, shown in options
    )
    return f"<label>{escape(label)} <select>{choices}</select></label>"


def _facts(facts: Mapping[str, str]) -> str:
    return (
        '<dl class="facts">'
        + "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
        + "</dl>"
    )


def _file(name: str) -> str:
    return resources.files("dmft.report").joinpath(name).read_text(encoding="utf-8")


# -- figures in words ------------------------------------------------------------------------------


def _hits(matrix: Sequence[Sequence[int]]) -> tuple[int, int]:
    return sum(row[i] for i, row in enumerate(matrix)), sum(map(sum, matrix))


def _percent(part: float) -> str:
    return f"{100 * part:.2f} %"


def _share(part: float) -> Number:
    return Number(part, _percent(part))


def _points(part: float) -> str:
    return f"{100 * part:+.2f}"


def _change(part: float) -> Number:
    return Number(part, _points(part))


def _gain(means: Mapping[str, float], first: str, second: str) -> Number:
    if first not in means or second not in means:
        return Number(None, "–")
    return _change(means[first] - means[second])


def _over_seeds(runs: Sequence[Measured], metric: str) -> str:
    values = [run.figures[metric] for run in runs]
    return f" ± {_percent(statistics.stdev(values))} ({len(values)})" if len(values) > 1 else ""


def _interval(bounds: tuple[float, float]) -> str:
    return f"{100 * bounds[0]:.1f} – {100 * bounds[1]:.1f} %"


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'' if n == 1 else 's'}"


def _seeds(group: Sequence[Measured]) -> str:
    return _count(len({run.info.seed for run in group}), "seed")
