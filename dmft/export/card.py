"""The model card: what an exported model is, what it was measured to do, and how to run it."""

from __future__ import annotations

from typing import Any

from dmft.export.folder import GRAPH_FILE, INT8_FILE, ExportInfo
from dmft.runs.in_words import trained_on
from dmft.runs.spec import RunInfo

NAMES = {"run": "PyTorch", GRAPH_FILE: "ONNX", INT8_FILE: "ONNX, 8-bit weights"}


def model_card(info: ExportInfo, run: RunInfo) -> str:
    """Return the card in Markdown."""
    inputs = "\n".join(
        f"| `{name}` | float32 | (batch, {shape.n_patches}, {shape.n_features}) | encoded patches; "
        "any values where the modality is absent |"
        for name, shape in info.inputs.items()
    )
    names = ", ".join(info.inputs)
    kind = info.kind[:1].upper() + info.kind[1:]
    return f"""# {kind} for {info.dataset or "an unnamed data set"}: {names}

Recognises one of {len(info.classes)} activities in a recording of {names}, any of which may be
absent. {info.n_parameters:,} parameters.

## Figures

{_figures(info.figures)}

{trained_on(run)} It says nothing about people, rooms, sensors or activities unlike those
of the data set.

## Inputs and outputs

| input | type | shape | meaning |
| --- | --- | --- | --- |
{inputs}
| `present` | bool | (batch, {len(info.inputs)}) | which of {names} a record has |

| output | shape | meaning |
| --- | --- | --- |
| `probabilities` | (batch, {len(info.classes)}) | of the activities; each row sums to 1 |
| `votes` | (batch, {len(info.inputs)}, {len(info.classes)}) | of each modality alone |
| `reliability` | (batch, {len(info.inputs)}) | how far each modality is believed, 0 to 1 |

Pooling, derived features, standardisation and voting (by {info.voting}) are inside the graph. The
activities, and how raw recordings become patches, are in its metadata (`classes`, `dmft`).

## Use

With onnxruntime 1.18 or newer:

```python
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession("{GRAPH_FILE}")
classes = session.get_modelmeta().custom_metadata_map["classes"].split("\\n")
records = {{
    each.name: np.zeros([1, *each.shape[1:]], np.float32) for each in session.get_inputs()[:-1]
}}
present = np.ones((1, {len(info.inputs)}), bool)
probabilities, votes, reliability = session.run(None, records | {{"present": present}})
print(classes[probabilities[0].argmax()])
```

With this project: `dmft predict FOLDER FILES...` from raw files. Exported from run
`{info.run_identity[:12]}`; the hashes of all files are in `export.json`.
"""


def _figures(figures: dict[str, Any] | Any) -> str:
    if figures.get("made_up"):
        found = figures[GRAPH_FILE]["largest_difference"]
        return (
            f"Checked on {figures['n_records']} made-up records, because the run's cache was not "
            f"there: probabilities differ from PyTorch's by at most {found:.1e}. No accuracy was "
            "measured here."
        )
    lines = [
        "| model | test accuracy | on all records | same first place | largest difference |",
        "| --- | --- | --- | --- | --- |",
    ]
    for key, name in NAMES.items():
        if key not in figures:
            continue
        found = figures[key]
        test = f"{found['accuracy']:.2%}" if "accuracy" in found else "no test record"
        same = f"{found['same_top1']:.2%}" if "same_top1" in found else ""
        largest = f"{found['largest_difference']:.1e}" if "largest_difference" in found else ""
        lines.append(f"| {name} | {test} | {found['accuracy_all']:.2%} | {same} | {largest} |")
    return "\n".join(lines) + (
        f"\n\nAll {figures['n_records']} records include those it was trained on."
    )
