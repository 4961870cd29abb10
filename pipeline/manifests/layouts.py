"""How each data set names its files: from a path to the record, modality and stream it is.

Only names are looked at; a file's content is the readers' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipeline.contract import ConfigError
from pipeline.manifests.layout import Layout
from pipeline.manifests.mmact import MMACT
from pipeline.manifests.utd_mhad import UTD_MHAD

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {layout.dataset: layout for layout in (UTD_MHAD, MMACT)}
)
"""Data set to its layout."""


def layout_of(dataset: str, n_classes: int | None = None) -> Layout:
    """The layout of a data set.

    Args:
        dataset: Such as ``utd-mhad``.
        n_classes: Which way of counting its classes; None for the usual one.

    Raises:
        ConfigError: there is none; the message names what there is.
    """
    if dataset not in LAYOUTS:
        raise ConfigError(f"no layout for data set {dataset!r}: there are {sorted(LAYOUTS)}")
    usual = LAYOUTS[dataset]
    counted = {len(layout.classes): layout for layout in (usual, *usual.alternatives)}
    if n_classes is not None and n_classes not in counted:
        raise ConfigError(
            f"{dataset} has no {n_classes} classes: wanted {' or '.join(map(str, counted))}"
        )
    return counted[n_classes or len(usual.classes)]
