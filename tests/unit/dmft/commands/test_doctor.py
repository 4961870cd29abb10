"""What dmft doctor says, and that nothing missing or broken stops it."""

import json
import os
import re
import subprocess
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner

from cli import dmft
from dmft import doctor
from dmft.commands.doctor import doctor_text


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return doctor.examine(tmp_path_factory.mktemp("here"))


def test_versions_devices_disk_and_weights_are_said(found):
    text = doctor_text(found)
    assert f"torch {metadata.version('torch')}" in text
    for word in ("system", "devices", "ffmpeg", "disk", "weights", doctor.WEIGHTS_FILE):
        assert word in text
    assert json.loads(json.dumps(found)) == found


def test_packages_are_those_of_the_distribution_itself(found):
    """A list kept by hand had pandas in an extra without it, and forgot google-crc32c."""
    packages = found["packages"]
    wanted = {re.match(r"[\w-]+", each)[0] for each in metadata.requires("dmft") if ";" not in each}
    assert packages["trainer"].keys() == {"dmft", *wanted}
    assert {"pandas", "google-crc32c"} <= packages["trainer"].keys()
    assert "pandas" not in packages["encode"]
    assert "av" in packages["encode"]
    for extra, names in packages.items():
        assert names, extra
        assert not [name for name in names.values() if name and "broken" in name]


def test_a_missing_extra_is_named_with_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(
        doctor, "wanted_packages", lambda: {"trainer": ("torch",), "report": ("no_such_thing",)}
    )
    found = doctor.examine(tmp_path)
    assert found["packages"]["report"] == {"no_such_thing": None}
    assert found["problems"] == []
    assert "missing: no_such_thing; pip install 'dmft[report]'" in doctor_text(found)


def test_a_missing_package_of_the_trainer_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "wanted_packages", lambda: {"trainer": ("no_such_thing",)})
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 0)
    found = doctor.examine(tmp_path)
    assert found["problems"] == [
        "no_such_thing is not installed; install it with: pip install dmft"
    ]
    assert "problem    no_such_thing" in doctor_text(found)


def test_a_broken_package_is_an_answer(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "wanted_packages", lambda: {"trainer": ("click",)})
    monkeypatch.setattr(doctor, "MODULES", {"click": "no_such_module"})
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 0)
    (problem,) = doctor.examine(tmp_path)["problems"]
    assert "broken: ModuleNotFoundError: No module named 'no_such_module'" in problem


def test_a_full_disk_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor, "wanted_packages", lambda: {"trainer": ()})
    monkeypatch.setattr(doctor, "LEAST_DISK_BYTES", 1 << 60)
    assert "GB free; wanted 2 GB" in doctor.examine(tmp_path)["problems"][0]


def test_the_command_prints_json_and_its_exit_code_counts_problems(monkeypatch, found):
    for problems, code in (([], 0), (["x is broken"], 1)):
        told = found | {"problems": problems}
        monkeypatch.setattr(doctor, "examine", lambda folder, told=told: told)
        done = CliRunner().invoke(dmft, ["doctor", "--json"], catch_exceptions=False)
        assert done.exit_code == code
        assert json.loads(done.stdout) == told


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_the_shell(shell):
    done = CliRunner().invoke(dmft, ["completion", shell], catch_exceptions=False)
    assert done.exit_code == 0
    assert "_DMFT_COMPLETE" in done.stdout


def test_completion_completes_commands_and_options():
    script = "import cli; cli.main([])"
    for words, wanted in (("dmft rep", "report"), ("dmft report --ti", "--title")):
        asked = {"_DMFT_COMPLETE": "bash_complete", "COMP_WORDS": words}
        asked["COMP_CWORD"] = str(len(words.split()) - 1)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env=os.environ | asked,
            capture_output=True,
            text=True,
            check=False,
        )
        assert f"plain,{wanted}" in done.stdout, done.stderr
