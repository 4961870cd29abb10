"""Items A of issue 15: wrong, and silent."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attack.bench import FRAMES, TRAINING, Bench, copy, rows_of
from tests.attack.command import Answer, dmft
from tests.attack.faults import NOBODY, ROOT
from tests.attack.known import item, silent


def train(cache: Path, place: Path, *more: str | Path) -> Answer:
    return dmft("train", cache, *TRAINING, "--out", place / "run", *more)


@item("A1a", "a cache without its label chunk is trained on")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    (cache / "label/c/0").unlink()
    return silent(train(cache, place))


@item("A1b", "labels exchanged with another column are trained on")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    shutil.copy(cache / "trial/c/0", cache / "label/c/0")
    return silent(train(cache, place))


@item("A1c", "feature names reversed in the root metadata are evaluated")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    root = json.loads((cache / "zarr.json").read_bytes())
    root["attributes"]["dmft"]["modalities"]["skeleton"]["feature_names"].reverse()
    (cache / "zarr.json").write_text(json.dumps(root))
    return silent(dmft("evaluate", bench.run, "--cache", cache))


@item("A1d", "a feature chunk of another cache (same shape, valid CRC) is trained on")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    root = json.loads((cache / "zarr.json").read_bytes())
    row = root["attributes"]["dmft"]["modalities"]["skeleton"]
    path = cache / "skeleton/c/0/0/0"
    size = row["n_patches"] * row["n_features"] * 4
    content = path.read_bytes()[:-4]
    moved = content[size : 2 * size] + content[:size] + content[2 * size :]
    import google_crc32c

    path.write_bytes(moved + google_crc32c.value(moved).to_bytes(4, "little"))
    return silent(train(cache, place))


@item("A1e", "a digit changed in metrics.json is reported")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    run = copy(bench.run, place / "run")
    figures = json.loads((run / "metrics.json").read_bytes()) | {"accuracy": 0.987}
    (run / "metrics.json").write_text(json.dumps(figures))
    return silent(dmft("report", run, "-o", place / "page.html"))


@item("A1f", "a deleted epochs.jsonl is reported without")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    run = copy(bench.run, place / "run")
    (run / "epochs.jsonl").unlink()
    return silent(dmft("report", run, "-o", place / "page.html"))


SENSORS = ("--modalities", "inertial,skeleton")


def encode_tree(place: Path, raw: Path, dataset: str, *options: str) -> tuple[Answer, Path]:
    """List a tree and encode it."""
    answer = dmft("manifest", "build", dataset, raw, "-o", place / "list.jsonl", "--jobs", "1")
    if answer.code:
        return answer, place / "none"
    out = place / "cache"
    common = ("--raw", raw, "--out", out, "--workers", "0")
    return dmft("encode", place / "list.jsonl", *common, *options), out


def one(raw: Path, pattern: str) -> Path:
    """A file of a tree."""
    return sorted(raw.rglob(pattern))[0]


def lengths(cache: Path, modality: str) -> list[int]:
    """T of each record, by the ledger."""
    found = []
    for path in sorted((cache / ".ledger" / modality).glob("*.json")):
        found += [int(e["length"]) for e in json.loads(path.read_bytes())["entries"]]
    return found


def sensors(bench: Bench, place: Path, change: Callable[[list[str]], list[str]]) -> Path:
    """MMAct's tree with the rows of every sensor file of one trial changed."""
    raw = copy(bench.mmact, place / "raw")
    stem = one(raw, "*.csv").name
    for path in raw.rglob(stem):
        path.write_text("\n".join(change(path.read_text().splitlines())) + "\n")
    return raw


def stamped(row: str, to: str) -> str:
    return ",".join([to, *row.split(",")[1:]])


def stored(answer: Answer, cache: Path, modality: str) -> str:
    return f"{answer.said}; lengths {lengths(cache, modality) if cache.exists() else None}"


@item("A2a", "sensor rows whose clock goes back an hour are sorted and resampled")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    def back(rows: list[str]) -> list[str]:
        half = len(rows) // 2
        return [r.replace("_11:", "_12:") for r in rows[:half]] + rows[half:]

    answer, cache = encode_tree(place, sensors(bench, place, back), "mmact", *SENSORS)
    return answer.code == 0 and max(lengths(cache, "inertial")) > 1000, stored(
        answer, cache, "inertial"
    )


@item("A2b", "rows stamped to half seconds are dropped")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    def coarse(rows: list[str]) -> list[str]:
        stamps = [r.split(",")[0] for r in rows]
        return [
            stamped(r, s[:17] + (".000000" if s[18:19] < "5" else ".500000"))
            for r, s in zip(rows, stamps, strict=True)
        ]

    answer, cache = encode_tree(place, sensors(bench, place, coarse), "mmact", *SENSORS)
    whole = lengths(bench.mmact_cache, "inertial")
    fewer = min(lengths(cache, "inertial")) < 0.7 * min(whole)
    return answer.code == 0 and fewer, stored(answer, cache, "inertial") + f", were {whole}"


@item("A3a", "a film's display rotation is ignored")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    raw = copy(bench.mmact, place / "raw")
    path = one(raw, "*.mp4")
    content = bytearray(path.read_bytes())
    at = content.index(b"tkhd") + 4 + 40
    turned = (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30)
    content[at : at + 36] = struct.pack(">9i", *turned)
    path.write_bytes(content)
    answer, cache = encode_tree(place, raw, "mmact", "--modalities", "rgb", *FRAMES[:6])
    same = rows_of(cache) == rows_of(bench.mmact_films)
    return answer.code == 0 and same, f"{answer.said}; rows as of the unturned film: {same}"


@item("A3b", "a film with an edit list is called damaged")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    raw = copy(bench.mmact, place / "raw")
    path = one(raw, "*.mp4")
    content = bytearray(path.read_bytes())
    at = content.index(b"elst") + 4 + 8
    duration, start = struct.unpack(">Ii", content[at : at + 8])
    content[at : at + 8] = struct.pack(">Ii", duration // 2, start)
    path.write_bytes(content)
    answer, _ = encode_tree(place, raw, "mmact", "--modalities", "rgb", *FRAMES[:6])
    return answer.code != 0, answer.said


def predicted(bench: Bench, place: Path, *names: str) -> Answer:
    """Predict copies of files of the same trial under other names."""
    for name in names:
        kind = "Inertial" if name.endswith("_inertial.mat") else "Skeleton"
        to = place / name
        to.parent.mkdir(exist_ok=True, parents=True)
        shutil.copy(one(bench.raw / kind, "*.mat"), to)
    return dmft("predict", bench.run, *names, "--json", cwd=place)


def n_recordings(answer: Answer) -> int:
    try:
        return len(json.loads(answer.out)["recordings"])
    except ValueError:
        return -1


@item("A4a", "files of two people's folders become one recording")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    answer = predicted(bench, place, "anna/walk_inertial.mat", "bert/walk_skeleton.mat")
    return n_recordings(answer) == 1, f"{n_recordings(answer)} recordings; {answer.said}"


@item("A4b", "two Chinese names become one recording")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    answer = predicted(bench, place, "走路_inertial.mat", "跑步_skeleton.mat")
    return n_recordings(answer) == 1, f"{n_recordings(answer)} recordings; {answer.said}"


@item("A4c", "a recording of an action without a label is refused by predict")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    answer = predicted(bench, place, "a28_s1_t1_inertial.mat")
    return answer.code != 0, answer.said


@item("A5", "an export answers NaN where an absent modality holds NaN")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    import numpy as np
    import onnxruntime

    session = onnxruntime.InferenceSession(str(bench.export / "model.onnx"))
    feeds, seen = {}, []
    for each in session.get_inputs():
        shape = [d if isinstance(d, int) else 1 for d in each.shape]
        seen.append(f"{each.name} {shape} {each.type}")
        is_presence = "float" not in each.type or "presen" in each.name
        values = np.ones(shape, np.float32)
        if is_presence:
            values = values.astype(bool if "bool" in each.type else np.float32)
            if values.shape[-1] == 2:
                values[..., 0] = 0
        feeds[each.name] = values
    first = next(name for name in feeds if "presen" not in name)
    if len(feeds) > 3:  # a presence each
        feeds[next(n for n in feeds if "presen" in n and first.split("_")[0] in n)][...] = 0
    clean = session.run(None, feeds)
    feeds[first] = np.full_like(feeds[first], np.nan)
    hurt = session.run(None, feeds)
    same = all(np.array_equal(a, b) for a, b in zip(clean, hurt, strict=True))
    return not same, f"{first} NaN and absent: answers {'same' if same else hurt[0].ravel()[:3]}"


@item("A6a", "a folder that cannot be read is not mentioned by manifest build")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    raw = copy(bench.raw, place / "raw")
    out = place / "out"
    out.mkdir()
    out.chmod(0o777)
    (raw / "Skeleton").chmod(0o000)
    prepare = (lambda: os.setuid(NOBODY)) if ROOT else None
    command = ("manifest", "build", "utd-mhad", raw, "-o", out / "l.jsonl", "--jobs", "1")
    answer = dmft(*command, prepare=prepare)
    (raw / "Skeleton").chmod(0o755)
    return silent(answer)


@item("A6b", "archive members whose names have backslashes are not mentioned")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    raw = copy(bench.raw, place / "raw")
    paths = sorted((raw / "Skeleton").iterdir())
    with zipfile.ZipFile(raw / "Skeleton.zip", "w") as packed:
        for path in paths:
            packed.writestr(f"Skeleton/{path.name}", path.read_bytes())
    shutil.rmtree(raw / "Skeleton")
    content = (raw / "Skeleton.zip").read_bytes().replace(b"Skeleton/a", b"Skeleton\\a")
    (raw / "Skeleton.zip").write_bytes(content)
    command = ("manifest", "build", "utd-mhad", raw, "-o", place / "l.jsonl", "--jobs", "1")
    answer = dmft(*command)
    says = "\\" in answer.out + answer.err
    return answer.code == 0 and not says, answer.said


def live(bench: Bench, times: list[float]) -> Answer:
    """Feed a live stream of inertial rows stamped so."""
    values = [0.1, -0.9, 0.2, 3.0, 0.5, -1.0]
    rows = [{"modality": "inertial", "time_s": t, "values": values} for t in times]
    text = "".join(json.dumps(row) + "\n" for row in rows)
    return dmft("predict", bench.run, "--sliding", "-", "--json", stdin=text.encode())


@item("A7a", "a live stream in milliseconds gives no window and exit 0")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    answer = live(bench, [20.0 * i for i in range(400)])
    return answer.code == 0, f"{answer.out.count('window')} windows; {answer.said}"


@item("A7b", "one wild time stamp ends a live stream")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    times = [i / 50 for i in range(600)]
    whole = live(bench, times)
    hurt = live(bench, [*times[:250], 1e12, *times[250:]])
    counts = [each.out.count('"window"') for each in (whole, hurt)]
    return counts[1] < 0.6 * counts[0], f"{counts[0]} windows become {counts[1]}; {hurt.said}"


@item("A8a", "frames out of order in pose files are taken in file order")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    raw = copy(bench.mmact, place / "raw")
    for path in raw.rglob("*.json"):
        frames = json.loads(path.read_bytes())
        path.write_text(json.dumps(frames[len(frames) // 2 :] + frames[: len(frames) // 2]))
    answer, cache = encode_tree(place, raw, "mmact", *SENSORS)
    same = rows_of(cache) == rows_of(bench.mmact_cache)
    return answer.code == 0 and not same, f"{answer.said}; rows as in order: {same}"


@item("A8b", "a frame twice in a pose file is taken twice")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    raw = copy(bench.mmact, place / "raw")
    path = one(raw, "*.json")
    frames = json.loads(path.read_bytes())
    path.write_text(json.dumps([*frames[:5], *frames[4:]]))
    return silent(encode_tree(place, raw, "mmact", *SENSORS)[0])


@item("A9", "an encode with other settings throws stored features away without asking")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    cache = copy(bench.cache, place / "cache")
    common = ("--raw", bench.raw, "--out", cache, "--workers", "0")
    answer = dmft("encode", bench.manifest, *common, "--set", "inertial.patches=64")
    return silent(answer)


def mat_of(bench: Bench) -> tuple[str, dict[str, Any]]:
    import scipy.io

    path = one(bench.raw / "Inertial", "*.mat")
    found = {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
    return path.name, found


@item("A10", "of two variables of one name another one than scipy's is read")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    import scipy.io

    caches = []
    name, found = mat_of(bench)
    double, read = io.BytesIO(), {}
    for part, scale in ((0, 1.0), (128, 0.5)):
        packed = io.BytesIO()
        scipy.io.savemat(packed, {k: v * scale for k, v in found.items()})
        double.write(packed.getvalue()[part:])
    (place / "double.mat").write_bytes(double.getvalue())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = scipy.io.loadmat(place / "double.mat")
    read = {k: loaded[k] for k in found}
    for which in ("double", "scipy"):
        raw = copy(bench.raw, place / which / "raw")
        if which == "double":
            (raw / "Inertial" / name).write_bytes(double.getvalue())
        else:
            scipy.io.savemat(raw / "Inertial" / name, read)
        answer, cache = encode_tree(place / which, raw, "utd-mhad")
        caches.append(rows_of(cache))
        if which == "double" and answer.code:
            return False, answer.said
    return caches[0] != caches[1], f"rows as of scipy's variable: {caches[0] == caches[1]}"


def changed_mat(bench: Bench, place: Path, change: Callable[[Any], Any]) -> Answer:
    import scipy.io

    raw = copy(bench.raw, place / "raw")
    name, found = mat_of(bench)
    scipy.io.savemat(raw / "Inertial" / name, {k: change(v) for k, v in found.items()})
    return encode_tree(place, raw, "utd-mhad")[0]


@item("A11a", "acceleration in m/s^2 instead of g is encoded as it is")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    return silent(changed_mat(bench, place, lambda v: v * ([9.81] * 3 + [1.0] * 3)))


@item("A11b", "leading all-zero rows are encoded as they are")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    def zeroed(values: Any) -> Any:
        values = values.copy()
        values[:30] = 0
        return values

    return silent(changed_mat(bench, place, zeroed))


def by_protocol(
    bench: Bench, place: Path, train_on: str, test_on: str, name: str = "one"
) -> Answer:
    path = place / "protocol.toml"
    sides = f"train = {{ {train_on} }}\ntest = {{ {test_on} }}\n"
    path.write_text(f'name = "p"\n[[folds]]\nname = {json.dumps(name)}\n{sides}')
    options = ("--protocol", path, *TRAINING[2:], "--out", place / "a/b/run")
    (place / "a/b").mkdir(parents=True)
    return dmft("train", bench.cache, *options)


@item("A12a", "test classes that training never saw: no warning")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    answer = by_protocol(bench, place, "action = [3, 9]", "action = [10]")
    words = ("never", "unseen", "warning", "no training", "lacks")
    warned = any(word in (answer.err + answer.out).lower() for word in words)
    return answer.code == 0 and not warned, answer.said


@item("A12b", "a protocol value that selects nobody: no warning")
def _(bench: Bench, place: Path) -> tuple[bool, str]:
    answer = by_protocol(bench, place, "subject = [1, 77]", "subject = [2]")
    return answer.code == 0 and "77" not in answer.err + answer.out, answer.said
