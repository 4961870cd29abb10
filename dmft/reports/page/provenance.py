"""Where one run comes from: cache, configuration, split, software."""

from __future__ import annotations

from dmft.reports.load import Measured
from pipeline.common.page import Cell, facts, folded_json, table
from pipeline.common.settings import to_table

SHOWN_OF_HASH = 16


def provenance(run: Measured) -> str:
    """What a reader needs to make the run again, or to doubt it."""
    info, first = run.info, run.folds[0]
    versions = ", ".join(f"{k} {v}" for k, v in (info.versions or {}).items())
    found = {
        "folder": str(first.folder if len(run.folds) == 1 else first.folder.parent),
        "cache": info.cache_path,
        "cache's fingerprint": info.cache_fingerprint,
        "manifest's SHA-256": info.manifest_sha256 or "not recorded",
        "encoder's weights": info.encoder_weights or "none",
        "seed": str(info.seed),
        "device": info.device,
        "versions": versions or "not recorded",
    }
    if info.teachers:
        found["teachers"] = ", ".join(info.teachers)
    described = to_table(info)
    return (
        f"{facts(found)}<details><summary>Folds by hash</summary>{_fold_hashes(run)}</details>"
        + folded_json("Configuration", described["config"])
        + folded_json("Encoding of the cache", described["encodings"])
        + folded_json("Protocol", described["protocol"])
    )


def _fold_hashes(run: Measured) -> str:
    rows: list[list[Cell]] = [
        [
            fold.info.fold.name,
            fold.info.split_hash[:SHOWN_OF_HASH],
            fold.info.identity[:SHOWN_OF_HASH],
            fold.info.model_sha256[:SHOWN_OF_HASH] or "not recorded",
        ]
        for fold in run.folds
    ]
    return table(["fold", "split", "run's identity", "model file"], rows, caption="SHA-256")
