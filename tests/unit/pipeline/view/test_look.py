"""``dmft dataset``: what was understood, and what contradicts what is declared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cli import dmft

DESCRIPTION = """
name = "toys"
pattern = "{label}_{child}.csv"

[modality.wrist]
kind = "series"
reader = "delimited"
columns = ["x", "y", "z"]
rate_hz = 50
unit = "UNIT"
"""


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    root = tmp_path / "raw"
    root.mkdir()
    for child in ("anna", "bert"):
        rows = np.random.default_rng(0).normal((0, 0, 1), 0.1, (40, 3))
        text = "x,y,z\n" + "".join(",".join(f"{n:.3f}" for n in row) + "\n" for row in rows)
        (root / f"wave_{child}.csv").write_text(text)
    return root


def checked(raw: Path, unit: str, *more: str) -> Result:
    file = raw.parent / "dataset.toml"
    file.write_text(DESCRIPTION.replace("UNIT", unit))
    return CliRunner().invoke(dmft, ["dataset", "check", str(file), "--raw", str(raw), *more])


def test_what_was_understood_is_shown(raw: Path) -> None:
    page = raw.parent / "look.html"
    done = checked(raw, "g", "--html", str(page))
    assert done.exit_code == 0, done.output
    assert "toys: 2 records, 1 classes: wave" in done.output
    assert "child: 2 values: anna, bert" in done.output
    assert "wave_anna.csv: 40 rows of 3, 0.78 s, 50 Hz" in done.output
    assert "wave_anna.csv: 40 rows of 3" in page.read_text()
    content = json.loads(checked(raw, "g", "--json").stdout)
    assert content["modalities"][0]["streams"][0]["columns"] == ["x", "y", "z"]


def test_labels_that_are_no_class_and_guesses_that_nobody_looked_at_are_told(raw: Path) -> None:
    done = checked(raw, 'g"  # ? by its numbers\n# "')
    assert done.exit_code == 0
    assert 'The first is line 10: unit = "g"  # ? by its numbers' in done.stderr
    (raw / "wavve_anna.csv").write_bytes((raw / "wave_anna.csv").read_bytes())
    file, trials = raw.parent / "dataset.toml", raw.parent / "trials.csv"
    file.write_text('classes = ["wave", "clap"]' + DESCRIPTION)
    command = ["dataset", "check", str(file), "--raw", str(raw)]
    done = CliRunner().invoke(dmft, command)
    assert "ignored: wavve_anna.csv: its label is 'wavve', none of the classes" in done.output
    trials.write_text("label,wrist\nwavve,wavve_anna.csv\n")
    done = CliRunner().invoke(dmft, [*command, "--table", str(trials)])
    assert done.exit_code == 1
    assert "row 2, column 'label': the label is 'wavve', wanted one of wave, clap" in done.stderr


def test_gravity_of_another_unit_is_told(raw: Path) -> None:
    done = checked(raw, "m/s^2")
    assert done.exit_code == 1
    assert "the median magnitude is 1.0" in done.stderr
    assert "as if in g, and m/s^2 is declared, in which gravity is 9.81" in done.stderr
    assert "say unit = 'g', or factor = 9.80665" in done.stderr
    assert checked(raw, "mg").exit_code == 1
    for child in ("anna", "bert"):
        (raw / f"wave_{child}.csv").write_text("x,y,z\n" + "0.1,0.2,9.8\n0.3,0.1,9.7\n" * 20)
    assert "say unit = 'm/s^2', or factor = 0.101972" in checked(raw, "g").stderr


def test_a_file_that_cannot_be_read_is_told_and_the_others_are_shown(raw: Path) -> None:
    (raw / "wave_bert.csv").write_text("x,y,z\n1,2,three\n")
    done = checked(raw, "g")
    assert done.exit_code == 1
    assert "wave_bert.csv line 2, column 'z': 'three' is no finite number" in done.stderr
    assert "wave_anna.csv: 40 rows" in done.stdout


def test_files_of_several_rates_are_told(raw: Path) -> None:
    for child, step in (("anna", 20), ("bert", 10)):
        rows = "".join(f"{step * n},0.1,{n},1\n" for n in range(30))
        (raw / f"wave_{child}.csv").write_text(f"ms,x,y,z\n{rows}")
    timed = 'g"\ntime = "ms"\ntime_format = "milliseconds'
    done = checked(raw, timed)
    assert "has rows at 100 Hz by its times: wanted 50 Hz" in done.stderr
    text = DESCRIPTION.replace("rate_hz = 50\n", "").replace("UNIT", timed)
    (raw.parent / "dataset.toml").write_text(text)
    command = ["dataset", "check", str(raw.parent / "dataset.toml"), "--raw", str(raw)]
    done = CliRunner().invoke(dmft, command)
    assert "wrist: files come at 50 to 100 Hz" in done.stderr
    assert "wave_anna.csv: x, z never change" in done.stderr


def test_times_of_another_unit_and_rows_faster_than_the_grid_are_told(raw: Path) -> None:
    for child in ("anna", "bert"):
        rows = "".join(f"{5 * n},0.{n},{n},1\n" for n in range(30))
        (raw / f"wave_{child}.csv").write_text(f"ms,x,y,z\n{rows}")
    (raw / "wave_carl.csv").write_text("")
    description = raw.parent / "dataset.toml"
    told = {}
    for unit in ("seconds", "milliseconds"):
        timed = f'"\ntime = "ms"\ntime_format = "{unit}'
        description.write_text(DESCRIPTION.replace("rate_hz = 50\n", "").replace("UNIT", timed))
        command = ["dataset", "check", str(description), "--raw", str(raw)]
        told[unit] = CliRunner().invoke(dmft, command).stderr
    assert (
        "rows come 0.2 times a second if times are seconds: milliseconds make it 200 Hz"
        in (told["seconds"])
    )
    assert "rows come at 200 Hz and are laid on a grid of 100 Hz" in told["milliseconds"]
    assert "no rows in wave_carl.csv" in told["seconds"]


def test_a_table_is_looked_at_as_well(raw: Path) -> None:
    trials = raw.parent / "trials.csv"
    trials.write_text("label,wrist\nwave,wave_anna.csv\n")
    assert "toys: 1 records" in checked(raw, "g", "--table", str(trials)).output
    trials.write_text("label,hip\nwave,wave_anna.csv\n")
    done = checked(raw, "g", "--table", str(trials))
    assert "there is no column 'wrist': its columns are 'label', 'hip'" in str(done.exception)


def test_a_draft_is_written_once(raw: Path) -> None:
    file = raw.parent / "draft.toml"
    command = ["dataset", "init", str(raw), "-o", str(file)]
    assert CliRunner().invoke(dmft, command).exit_code == 0
    assert "pattern = " in file.read_text()
    assert CliRunner().invoke(dmft, command).exit_code == 2
    trials = raw.parent / "trials.csv"
    trials.write_text("Activity,File\nwave,wave_anna.csv\nwave,wave_bert.csv\n")
    done = CliRunner().invoke(dmft, [*command, "--force", "--table", str(trials)])
    assert (done.exit_code, 'label = "Activity"' in done.output) == (0, True), done.output
    assert f"dmft dataset check {file} --raw {raw} --table {trials}" in done.output
