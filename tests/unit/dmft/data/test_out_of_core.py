"""A cache that does not fit its memory is streamed, with the results of one that does."""

import random
import time
import tracemalloc

import pytest
import torch
from click.testing import CliRunner

from dmft.config import load_config
from dmft.data import make_features, open_cache
from dmft.data.features import BLOCK_RECORDS
from dmft.data.out_of_core import StoredPatches
from dmft.data.shuffle import ShuffleBuffer
from dmft.data.sources import choose_source
from dmft.evaluation.evaluate import evaluate
from dmft.runs.folder import read_info
from dmft.runs.tensors import read_tensors
from dmft.runs.trained import load_run
from dmft.training.distill import distill
from dmft.training.train import train
from pipeline.contract import ConfigError, ContractError, Presence
from tests.factories import seal, write_cache

SMALL = ("encoder.width=16", "encoder.feed_forward=16", "training.epochs=3")
PROTOCOL = 'name = "loso"\n[leave_one_out]\nattribute = "subject"\n'
N_RECORDS = 192
ROW_BYTES = 16 * 6 * 4 + 32 * 6 * 4
BLOCK_BYTES = 16 * ROW_BYTES
ALL_BYTES = N_RECORDS * ROW_BYTES
CPU = torch.device("cpu")


class PowerCutError(Exception):
    """Stands for a power cut after an epoch."""


class PowerCut:
    """Cuts the power after an epoch."""

    def __init__(self, after):
        self.after = after

    def start(self, fold, n_epochs, done):
        pass

    def epoch(self, report):
        if report.epoch == self.after:
            raise PowerCutError

    def end(self, fold, figures):
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Skeleton in chunks of 16 records, inertial in chunks of 5: neither divides the other."""
    folder = tmp_path_factory.mktemp("streaming")
    write_cache(
        folder / "c.zarr",
        n_trials=12,
        absent={"a1_s1_t1/skeleton": Presence.FAILED, "a2_s2_t1/inertial": Presence.ABSENT},
        records_per_chunk={"inertial": 5},
    )
    (folder / "loso.toml").write_text(PROTOCOL)
    return folder


def opened(place, n_blocks=None):
    """The cache, with a window of so many blocks, or in memory."""
    memory = None if n_blocks is None else (n_blocks + 2) * BLOCK_BYTES
    return open_cache(place / "c.zarr", memory=memory)


def run(place, cache, out, *changes, callback=None, kind="student"):
    return train(
        cache,
        str(place / "loso.toml"),
        out,
        kind=kind,
        config=load_config("default", [*SMALL, *changes]),
        device="cpu",
        callback=callback,
    )


def weights(folder):
    return read_tensors(folder / "model.safetensors")[0]


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def batches(cache, window=None, epoch=0, size=8):
    source = choose_source(cache, torch.arange(N_RECORDS), window, CPU)
    return list(source.batches(0, epoch, size))


@pytest.fixture(scope="module")
def resident_run(place):
    run(place, opened(place), place / "resident")
    return place / "resident"


@pytest.fixture(scope="module")
def streamed_run(place):
    run(place, opened(place, 3), place / "streamed")
    return place / "streamed"


def test_what_fits_is_held_and_what_does_not_is_streamed(place, caplog):
    caplog.set_level("INFO")
    assert open_cache(place / "c.zarr", memory=ALL_BYTES).shuffle_buffer is None
    assert "resident: skeleton, inertial take 221 kB, within 221 kB of memory" in caplog.text
    assert opened(place, 3).shuffle_buffer == ShuffleBuffer(n_blocks=3, n_records=16)
    assert (
        "out of core: skeleton, inertial take 221 kB, more than 92.2 kB of memory; "
        "a shuffle buffer of 3 blocks of 16 records holds 55.3 kB" in caplog.text
    )


def test_memory_that_holds_no_window_is_refused_before_anything_is_read(place, monkeypatch):
    monkeypatch.setattr(StoredPatches, "read", lambda *_: pytest.fail("patches were read"))
    with pytest.raises(ConfigError, match=r"memory of 55.3 kB is too little .* at least 73.7 kB"):
        opened(place, 1)


def test_patches_on_the_disk_are_indexed_as_those_in_memory(place):
    held, streamed = opened(place), opened(place, 3)
    for rows in ([150, 3, 4, 3, 0, 191], [0], [1, 13]):
        for name in held.modalities:
            one, other = (cache.features[name][torch.tensor(rows)] for cache in (held, streamed))
            assert one.dtype == other.dtype == streamed.features[name].dtype
            assert torch.equal(one, other)
    assert not streamed.features["skeleton"][torch.tensor([0])].any()


def test_both_sources_give_the_same_batches_whatever_the_chunks(place):
    for window in (
        ShuffleBuffer(n_blocks=3, n_records=16),
        ShuffleBuffer(n_blocks=2, n_records=16),
    ):
        pairs = zip(batches(opened(place, 3), window), batches(opened(place), window), strict=True)
        for streamed, resident in pairs:
            assert torch.equal(streamed.rows, resident.rows)
            assert torch.equal(streamed.labels, resident.labels)
            assert torch.equal(streamed.present, resident.present)
            for name, patches in resident.patches.items():
                assert torch.equal(streamed.patches[name], patches)


def test_batches_do_not_depend_on_how_long_reading_takes(place, monkeypatch):
    window = ShuffleBuffer(n_blocks=3, n_records=16)
    quick = batches(opened(place, 3), window)
    read = StoredPatches.read

    def slowly(self, start, stop, n_threads=1):
        time.sleep(random.choice([0, 0.01]))
        return read(self, start, stop, n_threads)

    monkeypatch.setattr(StoredPatches, "read", slowly)
    for one, other in zip(batches(opened(place, 3), window), quick, strict=True):
        assert torch.equal(one.rows, other.rows)
        assert all(torch.equal(one.patches[m], other.patches[m]) for m in other.patches)


def test_each_block_is_read_once_an_epoch(place, monkeypatch):
    cache, reads = opened(place, 3), []
    read = StoredPatches.read

    def noted(self, start, stop, n_threads=1):
        reads.append((self.spec.name, start))
        return read(self, start, stop, n_threads)

    monkeypatch.setattr(StoredPatches, "read", noted)
    batches(cache, cache.shuffle_buffer)
    assert sorted(reads) == sorted(
        (name, start) for name in ("skeleton", "inertial") for start in range(0, N_RECORDS, 16)
    )


def test_out_of_core_holds_its_window_and_not_the_cache(tmp_path):
    path = write_cache(tmp_path / "c.zarr", modalities={"rgb": (32, 256)}, n_trials=96)
    row_bytes, n_blocks = 32 * 256 * 2, 4
    cache = open_cache(path, memory=(n_blocks + 2) * 16 * row_bytes)
    rows = torch.arange(len(cache))
    source = choose_source(cache, rows, cache.shuffle_buffer, CPU)
    tracemalloc.start()
    try:
        for _ in source.batches(0, 0, 8):
            pass
        _, epoch_peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        make_features(cache, load_config("default"), rows)
        _, fitting_peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    window = n_blocks * 16 * row_bytes
    # Beside the shuffle buffer: the block that was last, and six batches of half a block each.
    assert window <= epoch_peak < window + 5 * 16 * row_bytes < len(cache) * row_bytes / 10
    # Three blocks: in use, made ahead and in the making. Tensors of torch itself are not traced.
    assert fitting_peak < 4 * BLOCK_RECORDS * row_bytes < len(cache) * row_bytes * 0.7


def test_statistics_are_bit_for_bit_those_of_a_cache_in_memory(resident_run, streamed_run):
    one, other = weights(resident_run), weights(streamed_run)
    statistics = [name for name in one if name.startswith("standardizers/")]
    assert len(statistics) == 4
    assert all(torch.equal(one[name], other[name]) for name in statistics)


def test_a_window_with_room_for_the_training_fold_gives_the_very_run(place, resident_run, tmp_path):
    cache = opened(place, 9)
    assert cache.shuffle_buffer is not None
    run(place, cache, tmp_path / "r")
    assert same(weights(tmp_path / "r"), weights(resident_run))
    assert read_info(tmp_path / "r").spec.identity == read_info(resident_run).spec.identity


def test_a_run_with_a_smaller_window_says_so_and_is_another_run(resident_run, streamed_run):
    assert read_info(streamed_run).spec.shuffle_buffer == ShuffleBuffer(n_blocks=3, n_records=16)
    assert read_info(resident_run).spec.shuffle_buffer is None
    assert '"window"' not in (resident_run / "run.json").read_text()
    assert read_info(streamed_run).spec.identity != read_info(resident_run).spec.identity
    assert not same(weights(streamed_run), weights(resident_run))


def test_a_streamed_training_learns_as_well(place, tmp_path):
    accuracies = {
        name: run(place, opened(place, n_blocks), tmp_path / name, "training.epochs=12").accuracy
        for name, n_blocks in (("resident", None), ("streamed", 2))
    }
    assert accuracies["resident"] > 0.9
    assert accuracies["streamed"] > 0.9


@pytest.mark.parametrize("then", [3, 6, None])
def test_an_interrupted_streamed_training_ends_with_the_same_weights(
    place, streamed_run, tmp_path, then
):
    """However much memory there is when it goes on."""
    with pytest.raises(PowerCutError):
        run(place, opened(place, 3), tmp_path / "cut", callback=PowerCut(2))
    run(place, opened(place, then), tmp_path / "cut")
    assert same(weights(tmp_path / "cut"), weights(streamed_run))


@pytest.mark.parametrize(("first", "mixed"), [(None, "all its records"), (4, "4 blocks of 16")])
def test_an_interrupted_training_with_too_little_memory_left_is_not_mixed_otherwise(
    place, tmp_path, first, mixed
):
    with pytest.raises(PowerCutError):
        run(place, opened(place, first), tmp_path / "cut", callback=PowerCut(2))
    wanted = rf"begun with {mixed}.* memory for 3 blocks of 16: give --memory 221 kB or more"
    with pytest.raises(ConfigError, match=wanted):
        run(place, opened(place, 3), tmp_path / "cut")


def test_a_streamed_cache_is_measured_alike(place, resident_run, tmp_path):
    held = evaluate(resident_run)
    streamed = evaluate(resident_run, memory=4 * BLOCK_BYTES)
    assert streamed == held
    assert 0 < held.nearest_neighbour_accuracy <= 1


def test_the_nearest_neighbour_is_the_same_in_blocks(place, resident_run, monkeypatch):
    from dmft.evaluation import baseline
    from dmft.protocols import make_fold

    trained = load_run(resident_run)
    fold = make_fold(trained.info.spec.fold, opened(place), "loso")
    held = baseline.neighbour_accuracy(trained, opened(place), fold)
    monkeypatch.setattr(baseline, "KNOWN_BLOCK", 7)
    monkeypatch.setattr(baseline, "PREDICT_BATCH", 5)
    assert baseline.neighbour_accuracy(trained, opened(place, 2), fold) == held


def test_a_student_is_distilled_from_several_teachers_of_a_streamed_cache(place, tmp_path):
    config = load_config("default", SMALL)
    for seed in (0, 1):
        train(
            opened(place),
            str(place / "loso.toml"),
            tmp_path / f"teacher-{seed}",
            config=config,
            seed=seed,
            device="cpu",
        )
    teachers = [tmp_path / "teacher-0", tmp_path / "teacher-1"]
    distill(opened(place, 3), teachers, tmp_path / "streamed", device="cpu")
    assert read_info(tmp_path / "streamed").spec.shuffle_buffer == ShuffleBuffer(
        n_blocks=3, n_records=16
    )
    distill(opened(place, 9), teachers, tmp_path / "wide", device="cpu")
    distill(opened(place), teachers, tmp_path / "held", device="cpu")
    assert same(weights(tmp_path / "wide"), weights(tmp_path / "held"))
    assert not same(weights(tmp_path / "wide"), weights(tmp_path / "streamed"))


def test_a_chunk_that_is_damaged_while_training_is_named(tmp_path):
    path = write_cache(tmp_path / "c.zarr", n_trials=12)
    (tmp_path / "loso.toml").write_text(PROTOCOL)
    cache = open_cache(path, memory=5 * BLOCK_BYTES)
    chunk = path / "skeleton" / "c" / "7" / "0" / "0"

    class Damage(PowerCut):
        def epoch(self, report):
            content = bytearray(chunk.read_bytes())
            content[100] ^= report.epoch == 1
            chunk.write_bytes(content)

    with pytest.raises(ContractError, match=r"skeleton' is damaged .*c/7/0/0 is not what its"):
        run(tmp_path, cache, tmp_path / "r", callback=Damage(1))
    chunk.unlink()
    with pytest.raises(ContractError, match=r"skeleton' is damaged .*c/7/0/0 is missing"):
        batches(cache, cache.shuffle_buffer)


def test_a_record_that_is_not_finite_is_named_when_it_is_streamed(tmp_path):
    import zarr

    path = write_cache(tmp_path / "c.zarr", n_trials=12)
    zarr.open_group(str(path))["skeleton"][100, 3, 2] = float("nan")
    seal(path)
    cache = open_cache(path, memory=5 * BLOCK_BYTES)
    record = cache.record_ids[100]
    with pytest.raises(ContractError, match=rf"record '{record}' is marked present and is not"):
        batches(cache, cache.shuffle_buffer)


def test_the_commands_say_whether_they_stream(place, tmp_path):
    from cli import dmft

    def call(*arguments):
        result = CliRunner().invoke(dmft, [str(each) for each in arguments])
        assert result.exit_code == 0, result.output
        return result.stderr

    cache, small = place / "c.zarr", [item for change in SMALL for item in ("--set", change)]
    device = ("--device", "cpu")
    common = ("--protocol", place / "loso.toml", "--epochs", 1, *small, *device)
    said = call("train", cache, *common, "--out", tmp_path / "t", "--memory", "90KiB")
    assert "out of core: skeleton, inertial take 221 kB" in said
    said = call(
        "distill", cache, "--teacher", tmp_path / "t", "--out", tmp_path / "d", *device,
        "--memory", "1GB",
    )  # fmt: skip
    assert "resident: skeleton, inertial take 221 kB, within 1 GB of memory" in said
    assert "out of core: " in call("evaluate", tmp_path / "d", *device, "--memory", "90KiB")
    assert "resident: " in call("evaluate", tmp_path / "d", *device)
