"""``dmft doctor``."""

from __future__ import annotations

import json
from typing import Any

import click

INSTALL = {
    "encode": "needed for synth, manifest, encode and cache",
    "report": "needed for figures",
    "export": "needed for export",
}


@click.command(short_help="Say what a bug report needs to know of this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def doctor(as_json: bool) -> None:
    """Say what a bug report needs: versions, devices, FFmpeg, free disk, weights found.

    Exit code 1 if something keeps a program from working. Paste the output into a bug report; it
    names folders of this machine and nothing else of yours.
    """
    import sys
    from pathlib import Path

    from dmft.doctor import examine

    found = examine(Path.cwd())
    click.echo(json.dumps(found, indent=2) if as_json else doctor_text(found))
    sys.exit(1 if found["problems"] else 0)


def doctor_text(found: dict[str, Any]) -> str:
    """Return what was found as aligned lines."""
    system, devices, ffmpeg = found["system"], found["devices"], found["ffmpeg"]
    memory = f", {_size(system['memory_bytes'])} memory" if system["memory_bytes"] else ""
    lines = [
        f"system     {system['platform']}",
        f"           Python {system['python']}, {system['n_cores']} cores{memory}",
    ]
    for extra, packages in found["packages"].items():
        installed = [f"{name} {version}" for name, version in packages.items() if version]
        lines.append(f"{extra:<10} {', '.join(installed) or 'not installed'}")
        missing = [name for name, version in packages.items() if not version]
        if missing:
            how = f"; pip install 'dmft[{extra}]', {INSTALL[extra]}" if extra in INSTALL else ""
            lines.append(f"           missing: {', '.join(missing)}{how}")
    lines.append(f"devices    cpu with {devices['cpu_threads']} threads")
    lines += [f"           {gpu['name']}, {_size(gpu['memory_bytes'])}" for gpu in devices["gpus"]]
    if not devices["gpus"]:
        lines.append("           no GPU that torch sees")
    if ffmpeg:
        decoders = [name for name, known in ffmpeg["decoders"].items() if known]
        lines.append(f"ffmpeg     {ffmpeg['version']} in PyAV; decodes {', '.join(decoders)}")
    else:
        lines.append("ffmpeg     none: PyAV is not installed")
    for folder, disk in found["disk"].items():
        free = f"{_size(disk['free_bytes'])} free" if disk else "unknown"
        lines.append(f"disk       {folder}: {free}")
    weights = found["weights"]
    state = "found" if weights["n_bytes"] else "not there; encode downloads it when it is wanted"
    lines.append(f"weights    imagenet, {weights['path']}: {state}")
    lines += [f"problem    {each}" for each in found["problems"]] or ["all is well"]
    return "\n".join(lines)


def _size(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:.1f} GB"
