"""What a data set of features is, for people: its data card.

It is derived from the record table and the provenance, and says nothing that is not there.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator

from pipeline.cache.edit.history import history_of
from pipeline.cache.record_table import Columns
from pipeline.common.words import first_of
from pipeline.contract import TABLE_FILE, CacheSpec

LICENCE = "licence"
"""Key of the provenance: of the data, as a name or an address."""
UNKNOWN_LICENCE = "not stated: ask whoever made the recordings before you pass them on"
HUB_LICENCES = (
    *("apache-2.0", "mit", "bsd-3-clause", "gpl-3.0", "lgpl-3.0", "cc", "cc0-1.0", "cc-by-4.0"),
    *("cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-nc-nd-4.0"),
    *("odbl", "odc-by", "pddl"),
)
"""Those of the hub's list that data and code of this field have."""
MOST_GROUPS = 60
"""Lines of one table of the card."""


def licence_of(spec: CacheSpec) -> str:
    """What a cache says of the licence of its data; empty where nothing."""
    return str(spec.provenance.get(LICENCE, ""))


def card(
    spec: CacheSpec,
    columns: Columns,
    *,
    licence: str,
    how_to_load: str,
    data_files: str = TABLE_FILE,
) -> str:
    """The data card: a README that GitHub and the Hugging Face hub show.

    Args:
        spec: What the cache says of itself.
        columns: Its record table.
        licence: Empty where not known.
        how_to_load: Python, as it is run in the folder that the card lies in.
        data_files: Those that the hub shows as a table.
    """
    attributes = [name for name in spec.columns if len(set(columns[name])) > 1]
    lines = [
        *_front(spec, licence, data_files),
        f"# {spec.dataset}: {spec.n_records} records as features",
        "",
        f"{len(spec.classes)} classes; {', '.join(spec.modalities)}. "
        + ("The recordings are fabricated. " if spec.provenance.get("fabricated") else "")
        + f"Fingerprint `{spec.fingerprint}`.",
        "",
        f"Licence: {licence or UNKNOWN_LICENCE}.",
        "",
        "## Load it",
        "",
        "In this folder:",
        "",
        "```python",
        how_to_load,
        "```",
        "",
        "## Modalities",
        "",
        "| modality | patches | features | type | present | absent | failed | encoding |",
        "| --- | --: | --: | --- | --: | --: | --: | --- |",
    ]
    for name, own in spec.modalities.items():
        states = Counter(columns[f"{name}_presence"])
        shown = ", ".join(f"{k} {v}" for k, v in own.encoding.items() if len(str(v)) < 20)
        lines.append(
            f"| {name} | {own.n_patches} | {own.n_features} | {own.dtype} | "
            + " | ".join(str(states[code]) for code in ("present", "absent", "failed"))
            + f" | {shown} |"
        )
    for column in ("class_name", *attributes):
        lines += ["", f"## Records by {column}", "", f"| {column} | records |", "| --- | --: |"]
        counts = sorted(Counter(columns[column]).items())
        lines += [f"| {_cell(value)} | {n} |" for value, n in counts[:MOST_GROUPS]]
        n_more = len(counts) - MOST_GROUPS
        lines += [f"| and {n_more} more | |"] if n_more > 0 else []
    lines += ["", "## Where it comes from", ""]
    environment = spec.provenance.get("environment", {})
    made = [f"{key} {environment[key]}" for key in sorted(environment)]
    lines.append(f"- encoded with {first_of(made, 12)}")
    lines.append(f"- manifest `{spec.provenance.get('manifest_sha256', 'not noted')}`")
    for deed in history_of(spec.provenance):
        lines.append(f"- {deed['operation']} on {deed['at']}, before it `{deed['before']}`")
    return "\n".join(lines) + "\n"


def _front(spec: CacheSpec, licence: str, data_files: str) -> Iterator[str]:
    """What the Hugging Face hub reads of a card: it refuses licences that are not on its list."""
    yield "---"
    if licence.lower() in HUB_LICENCES:
        yield f"license: {licence.lower()}"
    elif licence:
        yield from ("license: other", f"license_name: {json.dumps(_name(licence))}")
    yield from ("tags:", "- human-activity-recognition", *(f"- {name}" for name in spec.modalities))
    yield from ("configs:", "- config_name: default", "  data_files:", "  - split: train")
    yield from (f"    path: {data_files}", "---", "")


def _name(licence: str) -> str:
    """A licence as the hub writes one that it does not know."""
    return re.sub(r"[^a-z0-9.]+", "-", licence.lower()).strip("-")


def _cell(value: object) -> str:
    """A value in a table of Markdown, which it must not break."""
    return " ".join(str(value).split()).replace("|", "\\|")
