"""A script without a guard is not run again by its children."""

import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]


def test_a_script_without_a_guard_encodes_once(tmp_path):
    """It gave 118 lines and six tracebacks."""
    script = tmp_path / "mine.py"
    script.write_text(
        textwrap.dedent(
            """
            print("mine runs")
            from tests.fabricate import manifest_of, record_ids, write_raw
            from pathlib import Path
            from pipeline.encode.job import encode
            from pipeline.encode.options import EncodeOptions
            raw = write_raw(Path("raw"), record_ids(2), modalities=("inertial",))
            summary = encode(manifest_of(raw), str(raw), "c.zarr", EncodeOptions(n_workers=1))
            print(summary.counts)
            """
        )
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "mine runs",
        "{'inertial': {'present': 2, 'absent': 0, 'failed': 0}}",
    ]
    assert "Traceback" not in done.stderr
