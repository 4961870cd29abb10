"""Amounts of memory: what is asked for, and what is free."""

import pytest
import torch

from dmft.data.memory import free_bytes, memory_budget, parse_size, size_text
from pipeline.contract import ConfigError


@pytest.mark.parametrize(
    ("text", "n_bytes"),
    [
        ("8GB", 8_000_000_000),
        (" 512 MiB ", 512 * 2**20),
        ("0.5g", 500_000_000),
        ("1.5kib", 1536),
        ("2TB", 2 * 10**12),
        ("1000000", 1_000_000),
        ("7 B", 7),
    ],
)
def test_a_size_is_read_as_people_write_it(text, n_bytes):
    assert parse_size(text) == n_bytes


@pytest.mark.parametrize("text", ["", "GB", "0GB", "-1GB", "8XB", "8 GB of it", "1e9"])
def test_what_is_not_a_size_is_refused(text):
    with pytest.raises(ConfigError, match=rf"size '{text}' is not an amount of memory: wanted"):
        parse_size(text)


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [(7, "7 B"), (1536, "1.54 kB"), (268_435_456, "268 MB"), (8 * 10**9, "8 GB")],
)
def test_a_size_is_written_as_people_read_it(n_bytes, text):
    assert size_text(n_bytes) == text


def test_a_container_has_what_its_limit_leaves(tmp_path):
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:       9000 kB\nMemAvailable:   4000 kB\n")
    assert free_bytes(meminfo, tmp_path) == 4000 * 1024
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert free_bytes(meminfo, tmp_path) == 4000 * 1024
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_bytes(meminfo, tmp_path) == 4000
    (tmp_path / "memory.max").write_text("900\n")
    assert free_bytes(meminfo, tmp_path) == 0


def test_where_nothing_says_what_is_free_it_is_the_whole_machine(tmp_path):
    assert free_bytes(tmp_path / "meminfo", tmp_path) >= free_bytes()


def test_the_default_is_a_share_of_what_is_free(monkeypatch):
    monkeypatch.setattr("dmft.data.memory.free_bytes", lambda: 1000)
    assert memory_budget(None) == 500
    assert memory_budget("3kB") == 3000


def test_on_a_gpu_the_default_is_a_share_of_what_is_free_there_too(monkeypatch):
    monkeypatch.setattr("dmft.data.memory.free_bytes", lambda: 1000)
    for on_device, budget in ((600, 300), (5000, 500)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda free=on_device: (free, 9000))
        assert memory_budget(None, "cuda") == budget
