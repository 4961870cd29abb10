"""A run as files that need neither this project nor PyTorch: ONNX, int8 ONNX, torch.export.

``folder`` says what such a folder holds and opens it without importing PyTorch; ``build`` writes
one and checks it against the run; ``graph`` is what is exported.
"""

from dmft.export.folder import (
    ARCHIVE_FILE,
    CARD_FILE,
    EXPORT_FILE,
    GRAPH_FILE,
    INT8_FILE,
    ExportedFile,
    ExportedGraph,
    ExportInfo,
    StoredShape,
    open_export,
    read_export,
)

__all__ = [
    "ARCHIVE_FILE",
    "CARD_FILE",
    "EXPORT_FILE",
    "GRAPH_FILE",
    "INT8_FILE",
    "ExportInfo",
    "ExportedFile",
    "ExportedGraph",
    "StoredShape",
    "open_export",
    "read_export",
]
