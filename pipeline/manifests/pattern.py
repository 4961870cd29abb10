"""Recordings from a tree whose paths carry the facts, by the patterns of a description.

Files that were recorded together are those whose paths say the same. A modality whose pattern says
less, as of sensors that all cameras of a trial share, goes to each record that it agrees with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from pipeline.contract import ConfigError, ContractError
from pipeline.datasets.description import Description
from pipeline.datasets.pattern import FRAME, Pattern, TwoReadingsError, frame_stream
from pipeline.manifests.build import Build, Progress, other_files
from pipeline.manifests.described import Listed, Problems, list_described
from pipeline.raw.tree import RawTree

Source = tuple[str, str]
"""Modality and stream."""
Facts = tuple[tuple[str, str], ...]
"""What a path says, in the order of the names."""


def build_pattern(
    description: Description,
    raw: RawTree,
    *,
    progress: Progress | None = None,
    jobs: int | None = None,
) -> Build:
    """The manifest of the recordings of a tree, in the order of what their paths say.

    Args:
        description: Of their data set.
        raw: The tree.
        progress: Called from this thread as files are hashed.
        jobs: Threads that hash.

    Raises:
        ConfigError: a modality has no pattern, or none says the label.
        ContractError: no recordings, two files of one stream for one record, a path that is read in
            two ways.
    """
    listed, ignored = list_tree(description, raw)
    return list_described(
        description,
        listed,
        raw,
        where=str(raw.root),
        ignored=sorted(ignored),
        progress=progress,
        jobs=jobs,
    )


def list_tree(description: Description, raw: RawTree) -> tuple[list[Listed], list[tuple[str, str]]]:
    """What the paths of a tree say, record after record, and the files that are none.

    Raises:
        ConfigError, ContractError: as :func:`build_pattern`.
    """
    survey = raw.survey()
    problems = Problems(str(raw.root))
    for refusal in survey.refused:
        if refusal.is_unread:
            problems.add(f"{refusal.path}: {refusal.reason}")
    found, ignored = place_files(description, survey.paths, problems)
    problems.check()
    if not found:
        texts = ", ".join(repr(p.text) for p in description.patterns.values())
        raise ContractError(
            f"{raw.root} holds no recordings of {description.name} by {texts}: "
            f"{other_files(ignored)}"
        )
    ignored += [(refusal.path, refusal.reason) for refusal in survey.refused]
    label = description.top.label
    named = sorted({name for facts in found for name, _ in facts} - {label})
    kept = description.top.attributes or tuple(named)
    listed = []
    for facts in sorted(found, key=lambda facts: [_in_order(text) for _, text in facts]):
        says = dict(facts)
        streams = found[facts]
        if label not in says:
            raise ConfigError(
                f"no pattern of {description.name} says the {label!r}: wanted {{{label}}} in it, "
                "or the name of another part as 'label'"
            )
        listed.append(
            Listed(
                place=next(iter(streams.values())),
                record="_".join(
                    f"{name[0]}{text}" if text.isdecimal() else text for name, text in facts
                ),
                label=says[label],
                fields={name: says.get(name, "") for name in kept},
                paths={source: (path, path) for source, path in streams.items()},
            )
        )
    return listed, ignored


def place_files(
    description: Description, paths: tuple[str, ...], problems: Problems
) -> tuple[dict[Facts, dict[Source, str]], list[tuple[str, str]]]:
    """What the paths say to the files of which they say it, and files that are none.

    Raises:
        ConfigError: a modality has no pattern.
    """
    patterns = description.patterns
    any_label = description.patterns_with(()).values() if description.label_texts else ()
    for name, modality in description.modalities.items():
        for stream, text in modality.patterns.items():
            if not text:
                what = name if len(modality.patterns) == 1 else f"{name}.streams.{stream}"
                raise ConfigError(
                    f"modality.{what} of {description.name} has no pattern: wanted one, or a table "
                    "of trials ('dmft manifest build table')"
                )
    ignored = []
    facts_of: dict[Source, dict[Facts, str]] = {source: {} for source in patterns}
    unclear: dict[tuple[str, str], list[str]] = {}
    rivals: dict[Source, list[tuple[str, str]]] = {}
    for path in paths:
        if reason := description.why_passed_over(path):
            ignored.append((path, reason))
            continue
        matching: dict[Source, dict[str, str]] = {}
        for source, pattern in patterns.items():
            try:
                says = pattern.find(path)
            except TwoReadingsError as error:
                unclear.setdefault(error.at, []).append(str(error))
                break
            if says is not None:
                matching[source] = says
        if len(matching) > 1:
            problems.add(f"{path} is {' and '.join(m for m, _ in matching)} by the patterns")
        for source, found in list(matching.items())[:1]:
            if patterns[source].is_of_frames:
                frame = found.pop(FRAME)
                stream = frame_stream(source[1], int(frame)) if frame.isdecimal() else frame
                source = (source[0], stream)
            facts = tuple(found.items())
            other = facts_of.setdefault(source, {}).setdefault(facts, path)
            if other != path:
                rivals.setdefault(source, []).append((path, other))
        if not matching:
            ignored.append((path, _why_none(description, any_label, path)))
    for messages in unclear.values():
        problems.add(messages[0] + _and_others(len(messages) - 1, "paths can be read in two ways"))
    for source, pairs in rivals.items():
        path, other = pairs[0]
        passed = "{_}" in patterns[source].text if source in patterns else False
        problems.add(
            f"{path} and {other} are both {source[0]} of one record: wanted a part of the pattern "
            f"that tells them apart, such as {{take}}{' in the place of {_}' if passed else ''}"
            + _and_others(len(pairs) - 1, "files are of a record that has one")
        )
    records = _joined(facts_of)
    joined = {path for streams in records.values() for path in streams.values()}
    ignored += [
        (path, "no record of the other modalities agrees with it")
        for by_facts in facts_of.values()
        for path in by_facts.values()
        if path not in joined
    ]
    return records, ignored


def _why_none(description: Description, any_label: Iterable[Pattern], path: str) -> str:
    """Why a path is no recording's: its label, where patterns would read it with another one."""
    label = description.top.label
    for pattern in any_label:
        with suppress(ContractError):  # read in two ways, as any label may be
            says = pattern.find(path)
            if says is not None and label in says:
                return f"its {label} is {says[label]!r}, none of the classes"
    return f"not a recording's name in {description.name}"


def _joined(facts_of: Mapping[Source, Mapping[Facts, str]]) -> dict[Facts, dict[Source, str]]:
    """Files by record: of those whose paths say most, with what the others agree on."""
    present = {source: by_facts for source, by_facts in facts_of.items() if by_facts}
    names = {source: frozenset(n for n, _ in next(iter(f))) for source, f in present.items()}
    records: dict[Facts, dict[Source, str]] = {}
    orders: dict[frozenset[str], tuple[str, ...]] = {}
    for source in sorted(present, key=lambda source: -len(names[source])):
        wider = [those for those in orders if those > names[source]]
        if not wider:
            order = orders.setdefault(
                names[source], tuple(name for name, _ in next(iter(present[source])))
            )
            for facts, path in present[source].items():
                says = dict(facts)
                key = tuple((name, says[name]) for name in order)
                records.setdefault(key, {})[source] = path
            continue
        order = tuple(name for name in next(iter(orders.values())) if name in names[source])
        shared = {
            tuple(dict(facts)[name] for name in order): path
            for facts, path in present[source].items()
        }
        for facts, streams in records.items():
            says = dict(facts)
            if (key_text := tuple(says.get(name, "") for name in order)) in shared:
                streams[source] = shared[key_text]
    return records


def _and_others(n: int, what: str) -> str:
    return f"; {n} more {what}" if n else ""


def _in_order(text: str) -> tuple[int, int, str]:
    return (0, int(text), "") if text.isdecimal() else (1, 0, text)
