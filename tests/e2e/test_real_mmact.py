"""One real MMAct clip and one real sensor file, in a tree as distributed, through the commands."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.running import run
from tests.fabricate import arrays_of
from tests.real_recordings import mmact_clip, mmact_sensor_file


@pytest.mark.real
@pytest.mark.parametrize(
    "packed",
    [pytest.param(False, id="extracted", marks=pytest.mark.slow), pytest.param(True, id="packed")],
)
def test_the_real_recordings_go_from_their_tree_to_a_verified_cache(
    tmp_path: Path, packed: bool
) -> None:
    clip, sensor = mmact_clip(), mmact_sensor_file()
    raw = tmp_path / "raw"
    for camera in (1, 2):
        folder = raw / f"trainval/subject1/cam{camera}/scene1/session1"
        folder.mkdir(parents=True)
        shutil.copy(clip, folder / "carrying.mp4")
    name = "acc_watch_clip/subject1/scene1/session1/carrying.csv"
    if packed:
        with tarfile.open(raw / "acc_watch_clip.tar.gz", "w:gz") as tar:
            tar.add(sensor, name)
    else:
        (raw / name).parent.mkdir(parents=True)
        shutil.copy(sensor, raw / name)

    manifest, cache = tmp_path / "mmact.jsonl", tmp_path / "mmact.zarr"
    assert run(["manifest", "build", "mmact", raw, "-o", manifest])[0] == 0
    encode = ["encode", manifest, "--raw", raw, "--out", cache, "--workers", "0", "--json"]
    code, out, err = run([*encode, "--weights", "random:0", "--set", "rgb.every=67"])
    assert code == 0, err
    whole = {"present": 2, "absent": 0, "failed": 0}
    assert json.loads(out)["counts"] == {"rgb": whole, "inertial": whole}
    verify = ["cache", "verify", "--full", "--source", raw, "--recompute", "2"]
    code, out, err = run([*verify, "--weights", "random:0", cache])
    assert code == 0, out + err

    arrays = arrays_of(cache)
    assert arrays["rgb_length"].tolist() == [268, 268]
    assert arrays["rgb"].shape == (2, 32, 2048)
    patches = arrays["inertial"]
    assert patches.shape == (2, 128, 16)
    assert (patches[:, :, 12:] == [0, 1, 0, 0]).all()
    assert 9 < np.median(np.linalg.norm(patches[0, :, 3:6], axis=1)) < 11
    assert not patches[:, :, [0, 1, 2, 6, 7, 8, 9, 10, 11]].any()
