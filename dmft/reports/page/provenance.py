"""Where one run comes from: cache, configuration, split, software."""

from __future__ import annotations

from dmft.reports.load import Measured
from pipeline.common.page import Cell, facts, folded_json, table
from pipeline.common.settings import to_table

SHOWN_OF_HASH = 16


def provenance(run: Measured) -> str:
    """What a reader needs to make the run again, or to doubt it."""
    info, first = run.info, run.folds[0]
    versions = ", ".join(f"{k} {v}" for k, v in info.source.versions.items())
    found = {
        "folder": str(first.folder if len(run.folds) == 1 else first.folder.parent),
        "cache": info.cache_path,
        "cache's fingerprint": info.spec.cache_fingerprint,
        "manifest's SHA-256": info.source.manifest_sha256 or "not recorded",
        "encoder's weights": info.source.encoder_weights or "none",
        "seed": str(info.spec.seed),
        "device": info.spec.device,
        "versions": versions,
    }
    if info.source.teachers:
        found["teachers"] = ", ".join(info.source.teachers)
    settings, source = to_table(info.spec.config), to_table(info.source)
    return (
        f"{facts(found)}<details><summary>Folds by hash</summary>{_fold_hashes(run)}</details>"
        + folded_json("Configuration", settings)
        + folded_json("Encoding of the cache", source["encodings"])
        + folded_json("Protocol", source["protocol"])
    )


def _fold_hashes(run: Measured) -> str:
    rows: list[list[Cell]] = [
        [
            fold.info.spec.fold.name,
            fold.info.spec.split_hash[:SHOWN_OF_HASH],
            fold.info.spec.identity[:SHOWN_OF_HASH],
            fold.info.finished.model_sha256[:SHOWN_OF_HASH],
        ]
        for fold in run.folds
    ]
    return table(["fold", "split", "run's identity", "model file"], rows, caption="SHA-256")
