"""Figures for a paper: files that are what they say, and the same for the same runs."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft.config import load_config
from dmft.data import open_cache
from dmft.reports.load import load_runs
from dmft.training.train import train
from tests.factories import write_cache

pytest.importorskip("matplotlib", reason="the extra 'report' is not installed")
SMALL = ("encoder.width=8", "encoder.feed_forward=8", "training.epochs=2")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figures")
    write_cache(folder / "cache.zarr", n_subjects=2, n_classes=3, n_trials=2)
    (folder / "p.toml").write_text('name = "p"\n[leave_one_out]\nattribute = "subject"\n')
    cache, config = open_cache(folder / "cache.zarr"), load_config("default", SMALL)
    train(cache, str(folder / "p.toml"), folder / "run", config=config, fold="all", device="cpu")
    return folder / "run"


def test_every_figure_is_written_in_every_format(run, tmp_path):
    asked = ["figures", str(run), "-o", str(tmp_path / "f"), "--format", "pdf", "--format", "svg"]
    done = CliRunner().invoke(dmft, asked, catch_exceptions=False)
    assert done.exit_code == 0
    names = sorted(path.name for path in (tmp_path / "f").iterdir())
    figures = ("accuracy", "class-accuracy-run", "confusion-run", "risk-coverage", "training-run")
    assert names == [f"{name}.{kind}" for name in figures for kind in ("pdf", "svg")]
    *written, following = done.stdout.splitlines()
    assert sorted(written) == [str(tmp_path / "f" / name) for name in names]
    assert following == f"Next: dmft report {run}"
    assert (tmp_path / "f/accuracy.pdf").read_bytes().startswith(b"%PDF")
    confusion = (tmp_path / "f/confusion-run.svg").read_text()
    assert ">class_2<" in confusion, "text is kept as text"


def test_the_same_run_gives_the_same_bytes(run, tmp_path):
    from dmft.reports.figures import write_figures

    loaded, _ = load_runs([run])
    first = write_figures(loaded, tmp_path / "a", ["svg", "pdf"])
    second = write_figures(loaded, tmp_path / "b", ["svg", "pdf"])
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]


def test_reading_and_reporting_do_without_matplotlib():
    script = "import sys, dmft.reports.page.html; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_matplotlib_the_extra_is_named(run, tmp_path):
    script = (
        "import sys\nsys.modules['matplotlib'] = None\nimport cli\n"
        f"cli.main(['figures', {str(run)!r}, '-o', {str(tmp_path / 'f')!r}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 2
    assert "pip install 'dmft[report]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "f").exists()
