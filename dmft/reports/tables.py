"""Ours beside the published figures: which results belong to a figure, their mean and spread."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from dmft.experiments.results import Result
from dmft.reports.published import OVERALL, Figure, Published

LABEL_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """What we measured for one figure."""

    recipe: str
    """The configuration's name and the changes to it."""
    mean: float
    """Over folds, then over seeds."""
    seed_spread: float | None
    """Standard deviation over seeds of the mean over folds; None for one seed."""
    fold_spread: float | None
    """Standard deviation over folds of the mean over seeds; None for one fold."""
    n_seeds: int
    """Seeds in the mean."""
    n_folds: int
    """Folds in the mean."""
    n_folds_wanted: int
    """Folds that the protocol has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a table."""

    protocol: str
    modalities: tuple[str, ...]
    method: str
    fusion_tokens: int = 0
    """0 where the table is not about it."""
    what: str = ""
    """The measure, or the modality, where the table has several."""
    published: float | None = None
    ours: Ours | None = None
    source: str = ""
    """Citation of the published figure."""
    note: str = ""

    @property
    def difference(self) -> float | None:
        """Ours less the published one."""
        if self.ours is None or self.published is None:
            return None
        return self.ours.mean - self.published


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table."""

    name: str
    """``table-1``; names its files."""
    title: str
    """With its number."""
    unit: str
    """Of the figures."""
    lines: tuple[Line, ...]
    """In the paper's order."""
    experiments: tuple[str, ...] = field(default=())
    """Shipped experiments that make ours."""

    @property
    def has_ours(self) -> bool:
        """Whether there is anything of ours in it."""
        return any(line.ours is not None for line in self.lines)


def build_tables(published: Published, results: Sequence[Result]) -> tuple[Table, ...]:
    """Return the paper's tables, and those of ours alone for which there is anything."""
    labels = _labels(results)
    tables = []
    for info in published.tables:
        figures = [figure for figure in published.figures if figure.table == info.number]
        several = len({(figure.measure, figure.of) for figure in figures}) > 1
        lines = []
        for figure in figures:
            found: list[Ours | None] = [*_ours_of(figure, published, results, labels)]
            for ours in found or [None]:
                lines.append(
                    Line(
                        protocol=figure.protocol,
                        modalities=figure.modalities,
                        method=figure.method,
                        fusion_tokens=figure.fusion_tokens,
                        what=_what(figure) if several else "",
                        published=figure.value,
                        ours=ours,
                        source=published.sources[figure.source],
                        note=figure.note,
                    )
                )
        tables.append(
            Table(
                name=f"table-{info.number}",
                title=f"Table {info.number}: {info.title}",
                unit=info.unit,
                lines=tuple(lines),
                experiments=info.experiments,
            )
        )
    return (*tables, *_own_tables(results, labels))


def _own_tables(results: Sequence[Result], labels: dict[str, str]) -> Iterator[Table]:
    """Tables that the paper does not have, where there is anything to put into them."""
    score = "the protocol's own figure, %"
    for name, title, unit, lines in (
        ("fusion", "Fusion of the teacher", score, _fusion_lines(results, labels)),
        ("folds", "Each fold", score, _lines(results, labels, _fold_parts)),
        ("people", "Each person", "accuracy, %", _lines(results, labels, _person_parts)),
        (
            "calibration",
            "Calibration error of the voted probabilities",
            "%",
            _lines(results, labels, _calibration_parts),
        ),
    ):
        found = tuple(lines)
        if found:
            yield Table(name=name, title=f"{title} (not in the paper)", unit=unit, lines=found)


def _what(figure: Figure) -> str:
    return figure.of if figure.measure == "score" else figure.measure.replace("_", " ")


def _labels(results: Sequence[Result]) -> dict[str, str]:
    """Result's key to what its recipe is called, told apart where names alone do not do it."""
    hashes: dict[str, set[str]] = {}
    for result in results:
        hashes.setdefault(result.recipe, set()).add(result.config_hash)
    caches = {result.cache_fingerprint for result in results}
    labels = {}
    for result in results:
        parts = [result.recipe]
        if len(result.teachers) > 1:
            parts.append(f"{len(result.teachers)} teachers")
        if len(hashes[result.recipe]) > 1:
            parts.append(f"configuration {result.config_hash[:LABEL_DIGITS]}")
        if len(caches) > 1:
            parts.append(f"cache {result.cache_fingerprint[:LABEL_DIGITS]}")
        labels[result.key] = ", ".join(parts)
    return labels


def _grouped(results: Iterable[Result], labels: dict[str, str]) -> dict[str, list[Result]]:
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(labels[result.key], []).append(result)
    return groups


def _ours_of(
    figure: Figure, published: Published, results: Sequence[Result], labels: dict[str, str]
) -> Iterator[Ours]:
    """One for each recipe that was measured; the teacher is the one with mid-fusion."""
    if not figure.model:
        return
    fitting = [
        result
        for result in results
        if result.model == figure.model
        and result.protocol == figure.protocol
        and set(result.modalities) == set(figure.modalities)
        and (result.model == "student" or result.fusion == "mid")
    ]
    for label, group in _grouped(fitting, labels).items():
        counted = Counter(result.fusion_tokens for result in group)
        tokens = figure.fusion_tokens or published.fusion_tokens
        if not figure.fusion_tokens and tokens not in counted:
            tokens = counted.most_common(1)[0][0]
        chosen = [result for result in group if result.fusion_tokens in (tokens, 0)]
        if chosen:
            yield summarise(chosen, _reader(figure), label)


def _reader(figure: Figure) -> Callable[[Result], float]:
    """How to read a figure's counterpart from a result."""

    def read(result: Result) -> float:
        if figure.measure == "seconds_per_epoch":
            return result.seconds_per_epoch
        if figure.measure == "saved_megabytes":
            return result.saved_bytes / 1e6
        if figure.of == OVERALL:
            return 100 * result.score
        found = result.by_modality[figure.of]
        return 100 * (found.macro_f1 if result.metric == "macro_f1" else found.accuracy)

    return read


def summarise(results: Sequence[Result], read: Callable[[Result], float], recipe: str) -> Ours:
    """Mean and spreads of one recipe; seeds that lack folds count only where none is whole."""
    by_seed: dict[int, dict[str, float]] = {}
    for result in results:
        by_seed.setdefault(result.seed, {})[result.fold] = read(result)
    wanted = results[0].n_folds
    whole = {seed: folds for seed, folds in by_seed.items() if len(folds) == wanted}
    used = whole or by_seed
    by_fold: dict[str, list[float]] = {}
    for folds in used.values():
        for fold, value in folds.items():
            by_fold.setdefault(fold, []).append(value)
    seed_means = [statistics.fmean(folds.values()) for folds in used.values()]
    fold_means = [statistics.fmean(values) for values in by_fold.values()]
    return Ours(
        recipe=recipe,
        mean=statistics.fmean(seed_means),
        seed_spread=statistics.stdev(seed_means) if len(seed_means) > 1 else None,
        fold_spread=statistics.stdev(fold_means) if len(fold_means) > 1 else None,
        n_seeds=len(used),
        n_folds=len(by_fold),
        n_folds_wanted=wanted,
    )


Place = tuple[str, tuple[str, ...], str, str, int]
"""Protocol, modalities, model, fusion and tokens: what results are averaged within."""
Part = tuple[str, Sequence[Result], Callable[[Result], float]]
"""A line's name, its results and what is read from them."""


def _placed(results: Iterable[Result]) -> Iterator[tuple[Place, list[Result]]]:
    places: dict[Place, list[Result]] = {}
    for r in results:
        place = (r.protocol, r.modalities, r.model, r.fusion, r.fusion_tokens)
        places.setdefault(place, []).append(r)
    yield from sorted(places.items())


def _lines(
    results: Sequence[Result],
    labels: dict[str, str],
    parts: Callable[[Sequence[Result]], Iterator[Part]],
) -> Iterator[Line]:
    """Lines of ours alone: each place and recipe, taken apart."""
    for (protocol, modalities, model, fusion, tokens), group in _placed(results):
        for label, chosen in _grouped(group, labels).items():
            for name, some, read in parts(chosen):
                yield Line(
                    protocol=protocol,
                    modalities=modalities,
                    method=f"{model}, fusion {fusion}",
                    fusion_tokens=tokens,
                    what=name,
                    ours=summarise(some, read, label),
                )


def _fusion_lines(results: Sequence[Result], labels: dict[str, str]) -> Iterator[Line]:
    teachers = [result for result in results if result.model == "teacher"]
    if any(result.fusion != "mid" for result in teachers):
        yield from _lines(teachers, labels, lambda chosen: iter([("", chosen, _score)]))


def _score(result: Result) -> float:
    return 100 * result.score


def _fold_parts(results: Sequence[Result]) -> Iterator[Part]:
    names = dict.fromkeys(result.fold for result in results)
    for name in sorted(names, key=_natural) if len(names) > 1 else ():
        of_fold = [replace(r, n_folds=1) for r in results if r.fold == name]
        yield name, of_fold, _score


def _person_parts(results: Sequence[Result]) -> Iterator[Part]:
    people = {person for result in results for person in result.subjects}
    for person in sorted(people, key=_natural):
        measured = [result for result in results if person in result.subjects]
        n_folds = len({result.fold for result in measured})
        yield (
            f"person {person}",
            [replace(result, n_folds=n_folds) for result in measured],
            lambda result, person=person: 100 * result.subjects[person].accuracy,  # type: ignore[misc]
        )


def _calibration_parts(results: Sequence[Result]) -> Iterator[Part]:
    yield "", results, lambda result: 100 * result.calibration_error


def _natural(name: str) -> tuple[str, int]:
    """So that subject-10 comes after subject-2."""
    digits = name[len(name.rstrip("0123456789")) :]
    return name.removesuffix(digits), int(digits or 0)
