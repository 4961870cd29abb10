"""``make gpu``: every part runs on a processor, and the page says what was measured or that not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from pipeline.encoders import weights
from tests.fabricate import _load_weights
from tests.gpu import page
from tests.gpu.__main__ import DOCS, main
from tests.gpu.parts import PARTS


def test_every_part_runs_on_a_processor_and_is_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(weights, "load_weights", _load_weights)
    (tmp_path / "gpu.md").write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nbehind\n")
    code = main(["--device", "cpu", "--small", "--out", str(tmp_path)])
    assert code == 0, capsys.readouterr().err
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert set(found["parts"]) == set(PARTS) - {"tests marked gpu"}
    for part in ("encode of colour, 1080p H.264", "encode of depth"):
        figures = found["parts"][part]
        assert figures["encode, frames/s"] > 0
        assert figures["says"].startswith("bound by ")
        assert {row["stage"] for row in figures["stages"]} >= {"decoding", "the network"}
    assert "2 together / one after another" in found["parts"]["models trained together"]
    shown = (tmp_path / "gpu.md").read_text()
    assert shown.startswith("before\n")
    assert shown.endswith("behind\n")
    assert "old" not in shown
    assert "| tests marked gpu | | not measured |" in shown


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_nothing_is_written_and_it_says_so(tmp_path, capsys):
    assert main(["--out", str(tmp_path)]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_part_that_fails_is_named_and_the_others_are_measured(tmp_path, monkeypatch, capsys):
    def breaks(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("tests.gpu.__main__.PARTS", {"a": breaks, "b": lambda *_: {"x": 1}})
    assert main(["--device", "cpu", "--small", "--out", str(tmp_path)]) == 1
    assert "no such kernel" in capsys.readouterr().err
    assert list(json.loads((tmp_path / "gpu.json").read_text())["parts"]) == ["b"]


def test_the_page_shows_what_was_measured():
    found = json.loads((DOCS / "gpu.json").read_text())
    shown = Path(DOCS / "gpu.md").read_text()
    assert page.with_table(shown, found) == shown
    if found["device"] is None:
        assert shown.count("not measured |") == len(PARTS)
