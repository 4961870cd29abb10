"""An export folder: what it says of itself, and running its graph without PyTorch.

    export.json      what it is, how its inputs are made, the hash of every other file
    model.onnx       the graph in single precision      model.int8.onnx  with 8-bit weights
    model.pt2        the same as a torch.export archive  README.md        the model card

Every file is compared with its hash before it is parsed. Nothing is unpickled: the graphs are
protocol buffers, and the archive, for use from PyTorch, is not opened here at all.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dmft.runs.files import read_file, read_json
from pipeline.common.settings import parse_table, to_table
from pipeline.contract import ConfigError, ContractError

EXPORT_FORMAT = "dmft-export"
EXPORT_VERSION = 1
EXPORT_FILE, CARD_FILE = "export.json", "README.md"
GRAPH_FILE, INT8_FILE, ARCHIVE_FILE = "model.onnx", "model.int8.onnx", "model.pt2"
METADATA_KEY = "dmft"
"""Where a graph's metadata has the facts of ``export.json``, for one that travels alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredShape:
    """What one modality hands to the graph for a record, before any derivation."""

    n_patches: int
    """P as encoded."""
    n_features: int
    """D as encoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedFile:
    """One file of an export."""

    n_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportInfo:
    """What an export is; ``export.json``."""

    run_identity: str
    """Identity of the run that was exported."""
    kind: str
    """teacher, student or distilled."""
    dataset: str
    """Names the readers of raw files."""
    classes: tuple[str, ...]
    """In the order of the probabilities."""
    inputs: Mapping[str, StoredShape]
    """Modality to its input, in the order of ``present``."""
    voting: str
    """Rule that is inside the graph."""
    encodings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """How raw recordings become the inputs."""
    encoder_weights: str = ""
    """Name of the weights that frames pass."""
    description: Mapping[str, Any] = field(default_factory=dict)
    """Of a data set that is described; empty where its readers are known by its name."""
    calibration: Mapping[str, Any] = field(default_factory=dict)
    """What ``dmft calibrate`` found; empty where it was not run."""
    n_parameters: int = 0
    """Weights of the network."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """What was measured when it was exported."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Versions of the software that exported it."""
    files: Mapping[str, ExportedFile] = field(default_factory=dict)
    """Every other file of the folder."""

    def to_json(self) -> dict[str, Any]:
        """As it stands in ``export.json``."""
        return {"format": EXPORT_FORMAT, "version": EXPORT_VERSION, **to_table(self)}

    def metadata(self) -> str:
        """The facts that travel inside a graph."""
        table = self.to_json()
        dropped = ("files", "figures")
        return json.dumps({k: v for k, v in table.items() if k not in dropped}, sort_keys=True)


def read_export(folder: str | Path) -> ExportInfo:
    """Read ``export.json``.

    Raises:
        ContractError: it is not an export, of another version, or not what was written.
    """
    path = Path(folder) / EXPORT_FILE

    def check(table: Mapping[str, Any]) -> None:
        if table.get("format") != EXPORT_FORMAT or table.get("version") != EXPORT_VERSION:
            raise ContractError(
                f"{path} is {table.get('format')!r} version {table.get('version')!r}: wanted "
                f"{EXPORT_FORMAT!r} version {EXPORT_VERSION}. Export the run again."
            )

    table = read_json(path, "an export folder that 'dmft export' wrote", check)
    kept = {k: v for k, v in table.items() if k not in ("format", "version")}
    return parse_table(ExportInfo, kept, where=str(path))


class Votes(NamedTuple):
    """What a model with its vote says of some records."""

    probabilities: NDArray[np.float32]
    """Of the classes. Shapes: (B, K)."""
    votes: NDArray[np.float32]
    """The same by each modality alone; zero for an absent one. Shapes: (B, M, K)."""
    reliability: NDArray[np.float32]
    """How far each modality is believed, from 0 to 1; 0 for an absent one. Shapes: (B, M)."""


Vote = Callable[[Mapping[str, NDArray[Any]], NDArray[np.bool_]], Votes]
"""Patches {m: (B, P_stored, D_stored)} and presence (B, M) to votes."""
OUTPUTS = Votes._fields
"""Names of a graph's outputs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedGraph:
    """A graph of an export, ready to run on the CPU."""

    info: ExportInfo
    """What it is."""
    session: Any
    """onnxruntime's."""

    def __call__(self, patches: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> Votes:
        """Vote on some records.

        Shapes: patches {m: (B, P_stored, D_stored)}, present (B, M).
        """
        inputs = {name: patches[name].astype(np.float32) for name in self.info.inputs}
        return Votes(*self.session.run(None, inputs | {"present": present}))


def open_export(folder: str | Path, *, file: str = GRAPH_FILE, n_threads: int = 1) -> ExportedGraph:
    """Open a graph of an export, after comparing it with its hash.

    Raises:
        ConfigError: the export holds no such graph.
        ContractError: the folder is no export, or a file is not what was written.
    """
    info, path = read_export(folder), Path(folder) / file
    if file not in info.files:
        raise ConfigError(f"{folder} holds no {file}: it has {', '.join(info.files)}")
    content, wanted = read_file(path), info.files[file].sha256
    sha256 = hashlib.sha256(content).hexdigest()
    if sha256 != wanted:
        raise ContractError(
            f"{path} has SHA-256 {sha256[:12]!r}, wanted {wanted[:12]!r}: it is not what "
            "was exported. Restore it, or export the run again."
        )
    return ExportedGraph(info=info, session=start_session(content, n_threads))


def start_session(content: bytes, n_threads: int = 1) -> Any:
    """Start onnxruntime on a graph, on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = n_threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
