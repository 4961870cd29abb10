"""Data sets described: what a ``dataset.toml`` says of files that no code here knows.

``description`` is what it may say, ``reading`` how the files of one modality are read, and
``pattern`` takes facts out of paths. Nothing here opens a recording.
"""

from pipeline.datasets.description import (
    Description,
    Modality,
    described,
    load_description,
    parse_description,
)
from pipeline.datasets.reading import Reading, Source

__all__ = [
    "Description",
    "Modality",
    "Reading",
    "Source",
    "described",
    "load_description",
    "parse_description",
]
