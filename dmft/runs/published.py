"""The files of a finished run as a list of checksums, to publish it by."""

from __future__ import annotations

from pathlib import Path

from dmft.runs.files import file_sha256
from dmft.runs.folder import MODEL_FILE, fold_folders, read_info
from pipeline.common.checksums import SUMS_FILE, Checksums
from pipeline.common.files import PARTIAL
from pipeline.contract import ContractError


def run_checksums(folder: Path) -> Checksums:
    """The checksums of every file of a run, whose weights are those that it says.

    Hidden files, and a list of checksums that came with it, are left out.

    Raises:
        ContractError: it is no run, is not finished, is not what was written, or has a link in it.
    """
    for fold in fold_folders(folder):
        if file_sha256(fold / MODEL_FILE) != read_info(fold).finished.model_sha256:
            raise ContractError(
                f"{fold / MODEL_FILE} is not what was written: restore it, or train again"
            )
    sums = {}
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise ContractError(f"{path} is a link: put the file itself there, or remove it")
        is_left_out = key == SUMS_FILE or path.name.endswith(PARTIAL) or "/." in f"/{key}"
        if path.is_file() and not is_left_out:
            sums[key] = file_sha256(path)
    return Checksums(sha256=sums)
