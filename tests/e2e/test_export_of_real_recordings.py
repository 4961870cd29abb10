"""An export of a run on real skeletons and inertial data says what the run says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dmft.export.build import TOLERANCE, export
from dmft.export.folder import GRAPH_FILE, INT8_FILE
from dmft.recognise import predict
from tests.fabricate import encode_here, path_of
from tests.real_recordings import utd_mhad_root
from tests.trained import Place, train_on

RECORDS = [f"a{action}_s{subject}_t1" for subject in (1, 3) for action in range(1, 28, 3)]


@pytest.mark.real
def test_run_graph_and_raw_files_agree_on_real_recordings(tmp_path: Path) -> None:
    root = utd_mhad_root()
    raw = tmp_path / "raw"
    for record in RECORDS:
        for modality in ("skeleton", "inertial"):
            path = raw / path_of(record, modality)
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / path_of(record, modality), path)
    encode_here(raw, tmp_path / "cache.zarr")
    place = Place(raw=raw, cache=tmp_path / "cache.zarr", run=tmp_path / "run")
    train_on(place, place.run, "training.epochs=20", "training.average_decay=0", test_subject=3)
    figures = export(place.run, tmp_path / "export").figures
    assert figures["n_records"] == len(RECORDS)
    assert figures[GRAPH_FILE]["same_top1"] == 1
    assert figures[GRAPH_FILE]["largest_difference"] <= TOLERANCE
    assert figures[INT8_FILE]["largest_difference"] < 0.05
    by_run, by_graph = (predict(folder, raw=raw) for folder in (place.run, tmp_path / "export"))
    for one, other in zip(by_run, by_graph, strict=True):
        assert one.activity == other.activity
        assert other.probabilities == pytest.approx(dict(one.probabilities), abs=TOLERANCE)
