"""``dmft cache export``: a cache in formats that other programs read, with a card and checksums.

The folder is made beside its place and renamed when it is whole. Every row is held against its
digest on the way.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.cache.card import card, licence_of
from pipeline.cache.companions import parquet_bytes
from pipeline.cache.croissant import croissant
from pipeline.cache.edit.assemble import OnProgress
from pipeline.cache.edit.source import Source, open_source
from pipeline.cache.hf_datasets import DATA_FILES, write_hf_datasets
from pipeline.cache.record_table import record_columns
from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.common.files import PARTIAL
from pipeline.contract import CARD_FILE, CROISSANT_FILE, TABLE_FILE, ConfigError, Presence

SHARD_RECORDS = 1000
CSV_FILE = "records.csv"
HOW_TO_LOAD = {
    "npz": """import numpy as np
import pandas as pd

records = pd.read_csv("records.csv", index_col="record")
{modality} = np.load("{modality}.npz")["patches"]  # (N, P, D), NaN where a record has none
print({modality}.shape, records["class_name"].value_counts())""",
    "csv": """import pandas as pd

records = pd.read_csv("records.csv", index_col="record")
{modality} = pd.read_csv("{modality}.csv").set_index(["record", "patch"])
print({modality}.loc[{modality}.index[0][0]], records["class_name"].value_counts())""",
    "hf-datasets": """from datasets import load_dataset

records = load_dataset("parquet", data_files="train-*.parquet", split="train").with_format("numpy")
print(records.features["label"].names[:5], len(records))
print(records[0]["record"], records[0]["{modality}"].shape)""",
    "webdataset": """import webdataset as wds

shards = wds.WebDataset("shard-000000.tar", shardshuffle=False).decode()
for sample in shards:
    print(sample["record.json"], sample.get("{modality}.npy").shape)
    break""",
}
"""Format to the lines of the card that load it."""


def export(
    location: str,
    out: Path,
    form: str,
    *,
    licence: str = "",
    on_progress: OnProgress = lambda done, total: None,
) -> int:
    """Write a cache to a new folder in another format, and count its bytes.

    Args:
        location: A finished cache.
        out: The folder; it must not be there.
        form: ``npz``, ``csv``, ``webdataset`` or ``hf-datasets``.
        licence: Of the data, for the card; what the cache says of it where empty.
        on_progress: Told how many rows are written, and of how many.

    Raises:
        ConfigError: the folder is there.
        ContractError: the cache is not whole, or a row is not what was written.
    """
    import pandas as pd

    source = open_source(location)
    spec = source.store.spec
    if out.exists():
        raise ConfigError(f"{out} exists: name a folder that does not, or remove it")
    partial = out.with_name(f".{out.name}{PARTIAL}")
    shutil.rmtree(partial, ignore_errors=True)  # of an export that was killed
    partial.mkdir(parents=True)
    columns = record_columns(spec, source.store.records, source.by_row)
    pd.DataFrame(columns).to_csv(partial / CSV_FILE, index=False)
    (partial / TABLE_FILE).write_bytes(parquet_bytes(columns))
    writers = {"npz": _npz, "csv": _csv, "webdataset": _webdataset, "hf-datasets": _hf_datasets}
    writers[form](source, partial, on_progress)
    files = _digests(partial)
    licence = licence or licence_of(spec)
    load = HOW_TO_LOAD[form].replace("{modality}", next(iter(spec.modalities)))
    data = DATA_FILES if form == "hf-datasets" else TABLE_FILE
    text = card(spec, columns, licence=licence, how_to_load=load, data_files=data)
    (partial / CARD_FILE).write_text(text)
    described = croissant(spec, columns, files, table_file=CSV_FILE, licence=licence)
    (partial / CROISSANT_FILE).write_text(json.dumps(described, indent=2) + "\n")
    (partial / SUMS_FILE).write_bytes(Checksums(sha256=_digests(partial)).to_bytes())
    partial.rename(out)
    return sum(path.stat().st_size for path in out.iterdir())


def _digests(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            found[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def _patches(source: Source, name: str, record_id: str) -> NDArray[np.generic] | None:
    """A record's patches; None where it is not present."""
    if source.entries[name][record_id].presence != Presence.PRESENT:
        return None
    return source.row(name, record_id)


def _npz(source: Source, folder: Path, on_progress: OnProgress) -> None:
    ids, n_modalities = list(source.rows), len(source.store.spec.modalities)
    for turn, (name, spec) in enumerate(source.store.spec.modalities.items()):
        shape = (len(ids), spec.n_patches, spec.n_features)
        patches = np.full(shape, np.nan, np.dtype(spec.dtype))
        for row, each in enumerate(ids):
            if (found := _patches(source, name, each)) is not None:
                patches[row] = found
            on_progress(turn * len(ids) + row + 1, n_modalities * len(ids))
        np.savez(
            folder / f"{name}.npz",
            patches=patches,
            record=np.array(ids),
            feature_names=np.array(spec.feature_names, dtype=str),
        )


def _csv(source: Source, folder: Path, on_progress: OnProgress) -> None:
    import pandas as pd

    ids, n_modalities = list(source.rows), len(source.store.spec.modalities)
    for turn, (name, spec) in enumerate(source.store.spec.modalities.items()):
        columns = list(spec.feature_names) or [f"f{i}" for i in range(spec.n_features)]
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            file.write(",".join(["record", "patch", *columns]) + "\n")
            for row, each in enumerate(ids):
                if (found := _patches(source, name, each)) is not None:
                    frame = pd.DataFrame(found, columns=columns)
                    frame.insert(0, "patch", range(len(frame)))
                    frame.insert(0, "record", each)
                    frame.to_csv(file, index=False, header=False)
                on_progress(turn * len(ids) + row + 1, n_modalities * len(ids))


def _webdataset(source: Source, folder: Path, on_progress: OnProgress) -> None:
    """Shards of tar files: of each record ``KEY.record.json`` and ``KEY.MODALITY.npy``."""
    records, classes = source.store.records, source.store.spec.classes
    for first in range(0, len(records), SHARD_RECORDS):
        name = folder / f"shard-{first // SHARD_RECORDS:06}.tar"
        with tarfile.open(name, "w", format=tarfile.PAX_FORMAT) as tar:
            for row, record in enumerate(records[first : first + SHARD_RECORDS], start=first):
                about = {
                    "record": record.id,
                    "label": record.label,
                    "class_name": classes[record.label],
                    **record.attributes,
                }
                _add(tar, f"{row:08}.record.json", json.dumps(about).encode())
                for modality in source.store.spec.modalities:
                    if (found := _patches(source, modality, record.id)) is not None:
                        buffer = io.BytesIO()
                        np.save(buffer, found)
                        _add(tar, f"{row:08}.{modality}.npy", buffer.getvalue())
                on_progress(row + 1, len(records))


def _hf_datasets(source: Source, folder: Path, on_progress: OnProgress) -> None:
    spec, records = source.store.spec, source.store.records
    columns = record_columns(spec, records, source.by_row)
    patches = lambda name, row: _patches(source, name, records[row].id)  # noqa: E731
    write_hf_datasets(folder, spec, columns, patches, on_progress)


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
