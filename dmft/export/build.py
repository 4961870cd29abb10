"""Write an export of a run, check it against the run, and measure what 8-bit weights cost.

The folder appears whole or not at all, and not if the graph and the run disagree.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dmft.evaluation.calibration import read_calibration
from dmft.evaluation.evaluate import RunCaches
from dmft.export.card import model_card
from dmft.export.folder import (
    ARCHIVE_FILE,
    CARD_FILE,
    EXPORT_FILE,
    GRAPH_FILE,
    INT8_FILE,
    METADATA_KEY,
    OUTPUTS,
    ExportedFile,
    ExportedGraph,
    ExportInfo,
    StoredShape,
    Vote,
    start_session,
)
from dmft.export.graph import RunModule, example_inputs, vote_of
from dmft.runs.files import write_json
from dmft.runs.folder import fold_folders
from dmft.runs.spec import software_versions
from dmft.runs.trained import PREDICT_BATCH, TrainedRun, load_run, present_of
from pipeline.common.settings import to_table
from pipeline.contract import ConfigError, ContractError

log = logging.getLogger(__name__)

OPSET = 20
TOLERANCE = 1e-4
"""Largest difference of a probability between the run and its graph."""
N_EXAMPLES = 64
"""Made-up records that a graph is checked on where there is no cache."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckRecords:
    """Records to compare the run and its graphs on."""

    patches: Mapping[str, NDArray[Any]]
    """Shapes: {m: (B, P_stored, D_stored)}."""
    present: NDArray[np.bool_]
    """Shapes: (B, M)."""
    labels: NDArray[np.int64] | None
    """Shapes: (B,); None where the records are made up."""
    is_test: NDArray[np.bool_] | None
    """Shapes: (B,), true on the run's test side; None where the records are made up."""


def export(
    run_folder: str | Path,
    out: str | Path,
    *,
    cache_path: str | Path | None = None,
    int8: bool = True,
    trust: bool = False,
    progress: Callable[[str], None] = lambda step: None,
) -> ExportInfo:
    """Export the run of one fold into the new folder ``out``.

    Args:
        run_folder: A finished run.
        out: The export's folder; it must not exist.
        cache_path: Records to check on; by default the run's cache, or made-up records where
            that is gone.
        int8: Write the graph with 8-bit weights too.
        trust: Use a cache that nothing vouches for.
        progress: Told of each step as it begins.

    Raises:
        ConfigError: the run has several folds.
        ContractError: the run is damaged, ``out`` exists, or the graph disagrees with the run.
    """
    folder, out = Path(run_folder), Path(out)
    if fold_folders(folder) != (folder,):
        raise ConfigError(
            f"{folder} holds several models, one a fold: train one on every record with "
            f"'dmft train --on all', or name one of them, as {fold_folders(folder)[0]}"
        )
    if out.exists():
        raise ContractError(f"{out} exists: choose another folder, or remove it")
    progress("reading the run and its cache")
    run = load_run(folder)
    records = gather_records(run, cache_path, trust=trust)
    info = describe(run)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as name:
        building = Path(name) / "export"
        building.mkdir()
        progress("writing the graphs, which takes the most of it")
        write_graphs(run, info, building, int8=int8)
        progress(f"comparing them with the run on {len(records.present):,} records")
        info = dataclasses.replace(info, figures=compare(run, info, building, records))
        (building / CARD_FILE).write_text(model_card(info, run.info))
        files = {
            file.name: ExportedFile(
                n_bytes=file.stat().st_size, sha256=hashlib.sha256(file.read_bytes()).hexdigest()
            )
            for file in sorted(building.iterdir())
        }
        info = dataclasses.replace(info, files=files)
        write_json(building / EXPORT_FILE, info.to_json())
        building.rename(out)
    return info


def describe(run: TrainedRun) -> ExportInfo:
    """What an export of a run says of itself before anything is measured."""
    calibration = read_calibration(run.folder, run.info)
    return ExportInfo(
        run_identity=run.info.spec.identity,
        kind=run.info.spec.model_name,
        dataset=run.info.source.dataset,
        classes=run.info.spec.classes,
        inputs={
            name: StoredShape(n_patches=shape.n_patches, n_features=shape.n_features)
            for name, shape in run.info.spec.stored.items()
        },
        voting=run.info.spec.config.voting.rule,
        encodings=run.info.source.encodings,
        encoder_weights=run.info.source.encoder_weights,
        description=run.info.source.description,
        calibration=to_table(calibration) if calibration else {},
        n_parameters=run.info.finished.n_parameters,
        versions=software_versions()
        | {name: metadata.version(name) for name in ("onnx", "onnxruntime")},
    )


def write_graphs(
    run: TrainedRun, info: ExportInfo, folder: Path, *, int8: bool, archive: bool = True
) -> None:
    """Write the graph, and where wanted the 8-bit one and the torch.export archive."""
    program = _trace(run)
    _write_onnx(program, info, folder / GRAPH_FILE)
    if int8:
        quantise(folder / GRAPH_FILE, folder / INT8_FILE, info)
    if archive:
        # An archive would keep the examples as a pickle.
        program._example_inputs = None
        torch.export.save(program, str(folder / ARCHIVE_FILE))


def _trace(run: TrainedRun) -> torch.export.ExportedProgram:
    """The run as one program with any number of records."""
    module = RunModule(run).eval()
    # Two records or more: a dimension of one would be taken for a constant.
    patches, present = example_inputs(run, 3)
    batch = torch.export.Dim("batch", min=1)
    dynamic = {"patches": {name: {0: batch} for name in patches}, "present": {0: batch}}
    with torch.no_grad(), _quiet():
        module(patches, present)  # fills the cache of pooling weights with real numbers
        program = torch.export.export(module, (patches, present), dynamic_shapes=dynamic)
    for node in program.graph.nodes:
        node.meta.pop("stack_trace", None)  # names folders of the machine that exports
    return program


def _write_onnx(program: torch.export.ExportedProgram, info: ExportInfo, path: Path) -> None:
    """Write a program as ONNX, with the facts about it and without notes of the exporter.

    ONNX Runtime simplifies the graph, on the level that is the same for every processor, in a
    hundredth of the time of the exporter's own rules; what it gives is as fast.
    """
    import onnx

    with _quiet("torch.onnx", "onnxscript", "onnx_ir"):
        converted = torch.onnx.export(
            program,
            input_names=[*info.inputs, "present"],
            output_names=list(OUTPUTS),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
            optimize=False,
        )
    assert converted is not None
    model = _simplified(converted.model_proto)
    for part in (*model.graph.node, *model.graph.initializer, model.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.value_info[:]  # the exporter's shapes contradict its own transposed weights
    for value in (*model.graph.input, *model.graph.output):
        del value.metadata_props[:]
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    _add_metadata(model, info)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def _simplified(model: Any) -> Any:
    """A graph with constants folded and what nobody reads left out, in ONNX's own operators."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "simplified.onnx")
        onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        simplified = onnx.load(options.optimized_model_filepath)
    foreign = [used for used in simplified.opset_import if used.domain]
    for used in foreign:  # every domain that this version of ONNX Runtime knows
        simplified.opset_import.remove(used)
    return simplified


def _add_metadata(model: Any, info: ExportInfo) -> None:
    """Put the facts into a graph: all of them as JSON, and the labels once more by themselves."""
    import onnx

    facts = {METADATA_KEY: info.metadata(), "classes": "\n".join(info.classes)}
    onnx.helper.set_model_props(model, facts)


def quantise(source: Path, path: Path, info: ExportInfo) -> None:
    """Write a graph with 8-bit weights, one scale a column; activations are scaled as they come.

    One bit of the range is left unused, because sums of products saturate on processors without
    8-bit dot products (x86 before VNNI).
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder, _quiet(""):
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(
            str(source), str(prepared), skip_symbolic_shape=True, skip_onnx_shape=True
        )
        quantize_dynamic(
            str(prepared),
            str(path),
            weight_type=QuantType.QInt8,
            per_channel=True,
            reduce_range=True,
        )
    model = onnx.load(str(path))
    _add_metadata(model, info)
    onnx.save(model, str(path))


@contextmanager
def _quiet(*names: str) -> Iterator[None]:
    """Silence warnings and some loggers for a while; their advice is about files made here."""
    levels = {logging.getLogger(name): logging.getLogger(name).level for name in names}
    try:
        for logger in levels:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in levels.items():
            logger.setLevel(level)


def gather_records(
    run: TrainedRun, cache_path: str | Path | None, *, trust: bool = False
) -> CheckRecords:
    """Every record of the run's cache or of the one named, or made-up ones.

    Raises:
        ContractError: the named cache cannot be used, or the run's own has changed.
    """
    if cache_path is None and not Path(run.info.cache_path).exists():
        log.warning("the run's cache %s is gone: checking on made-up records", run.info.cache_path)
        made_up, all_present = example_inputs(run, N_EXAMPLES)
        all_present[: len(all_present) // 2, 0] = all_present.shape[1] == 1
        arrays = {name: values.numpy() for name, values in made_up.items()}
        return CheckRecords(patches=arrays, present=all_present.numpy(), labels=None, is_test=None)
    cache, fold = RunCaches(cache_path, trust=trust).of(run.info)
    present = present_of(cache, run.info.spec.modalities)
    kept = present.any(dim=1).nonzero()[:, 0]
    return CheckRecords(
        patches={name: cache.features[name][kept].numpy() for name in run.info.spec.modalities},
        present=present[kept].numpy(),
        labels=cache.labels[kept].numpy(),
        is_test=torch.isin(kept, fold.test).numpy(),
    )


def compare(
    run: TrainedRun, info: ExportInfo, folder: Path, records: CheckRecords
) -> dict[str, Any]:
    """Run and graphs on the same records: differences, and accuracies where labels are known.

    Raises:
        ContractError: the graph in single precision disagrees with the run.
    """
    wanted = _in_batches(vote_of(run), records)
    figures: dict[str, Any] = {"n_records": len(wanted), "made_up": records.labels is None}
    figures["run"] = _accuracies(wanted, records)
    for name in (GRAPH_FILE, INT8_FILE):
        if not (folder / name).exists():
            continue
        graph = ExportedGraph(info=info, session=start_session((folder / name).read_bytes()))
        probabilities = _in_batches(graph, records)
        same = probabilities.argmax(axis=1) == wanted.argmax(axis=1)
        figures[name] = {
            "largest_difference": float(np.abs(probabilities - wanted).max()),
            "same_top1": float(same.mean()),
            **_accuracies(probabilities, records),
        }
    check_agreement(figures[GRAPH_FILE], wanted)
    return figures


def check_agreement(figures: Mapping[str, Any], wanted: NDArray[np.float32]) -> None:
    """Refuse a graph that is not the run.

    Raises:
        ContractError: a probability or a first place differs.
    """
    difference, same = figures["largest_difference"], figures["same_top1"]
    ranked = np.sort(wanted, axis=1)
    tied = float((ranked[:, -1] - ranked[:, -2] <= 2 * TOLERANCE).mean())
    if difference > TOLERANCE or same < 1 - tied:
        raise ContractError(
            f"the graph disagrees with the run: a probability by {difference:.2g} (up to "
            f"{TOLERANCE:g} is allowed), and {same:.2%} of {len(wanted)} records have the same "
            "first place. Nothing was exported; this is a bug of the software that exports."
        )


def _in_batches(vote: Vote, records: CheckRecords) -> NDArray[np.float32]:
    """Probabilities of all records, some at a time."""
    batches = []
    for start in range(0, len(records.present), PREDICT_BATCH):
        rows = slice(start, start + PREDICT_BATCH)
        patches = {name: values[rows] for name, values in records.patches.items()}
        batches.append(vote(patches, records.present[rows]).probabilities)
    return np.concatenate(batches)


def _accuracies(probabilities: NDArray[np.float32], records: CheckRecords) -> dict[str, float]:
    """Part of the records that are right: on the test side, and on all."""
    if records.labels is None or records.is_test is None:
        return {}
    right = probabilities.argmax(axis=1) == records.labels
    figures = {"accuracy_all": float(right.mean())}
    if records.is_test.any():
        figures["accuracy"] = float(right[records.is_test].mean())
    return figures
