"""What a model costs: measured for every form of every run, and counted where it can be."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from dmft.commands.bench import bench as command
from dmft.export.bench import bench, multiply_adds
from dmft.runs.trained import load_run
from pipeline.contract import ConfigError, ContractError
from tests.trained import shared_place

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return shared_place(tmp_path_factory)


@pytest.fixture(scope="module")
def printed(trained):
    done = CliRunner().invoke(command, [str(trained.run), "--seconds", "0.01", "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_every_form_of_a_run_is_measured(printed):
    assert [row["model"].rpartition(" ")[2] for row in printed] == ["PyTorch", "ONNX", "int8"]
    for row in printed:
        assert 0 < row["median_ms"] <= row["p99_ms"]
        assert set(row["records_per_s"]) == {"1", "32"}
        assert row["peak_bytes"] >= row["base_bytes"] > 0


def test_a_graph_needs_less_memory_than_pytorch_and_8_bits_fewer_bytes(printed):
    by_run, by_graph, by_int8 = printed
    assert by_graph["peak_bytes"] < by_run["peak_bytes"]
    assert by_int8["model_bytes"] < by_graph["model_bytes"]


def test_multiply_adds_are_counted_attention_included(trained):
    run = load_run(trained.run)
    # Two layers 48 wide, 56 hidden, the first of them for every token. Of the last: keys and values
    # of every token; query, output and hidden layer of the class token alone, which attends to all.
    tokens = [121, 33, 13, 33]
    first = sum(T * 48 * 4 * 48 + T * T * 2 * 48 + T * 2 * 48 * 56 for T in tokens)
    last = sum(T * 48 * 2 * 48 + 2 * 48 * 48 + T * 2 * 48 + 2 * 48 * 56 for T in tokens)
    into = 48 * (120 * 32 + 32 * 120 + 12 * 32 + 32 * 12)
    heads = 4 * 48 * len(run.info.spec.classes)
    pooling = 32 * 64 * 60 * 2 + 32 * 128 * 6 * 3
    reliability = 2 * (2 * 48 * 16 + 16)
    assert multiply_adds(run) == first + last + into + heads + reliability + pooling


def test_memory_is_the_most_that_a_process_has_had():
    script = (
        "from dmft.export.bench import peak_bytes\n"
        "before = peak_bytes()\n"
        "held = b'x' * (64 << 20)\n"
        "del held\n"
        "print(peak_bytes() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) >= 60 << 20


def test_what_cannot_be_measured_is_refused(trained, tmp_path):
    with pytest.raises(ConfigError, match=r"runs is \[\]: wanted at least one"):
        bench([])
    with pytest.raises(ConfigError, match="seconds is 0: wanted a positive number"):
        bench([trained.run], seconds=0)
    with pytest.raises(ContractError, match=r"run\.json does not exist"):
        bench([tmp_path])
