"""How each data set names its files: from a path to the record, modality and stream it is.

Only names are looked at; a file's content is the readers' business. How one data set's paths are
read is said in a file of its own (``utd_mhad``, ``mmact``); here they are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from pipeline.contract import ConfigError, Record
from pipeline.manifests import mmact, utd_mhad
from pipeline.manifests.place import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One data set's naming."""

    dataset: str
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    place: Callable[[str], Place | None]
    """Path to place; None for a file that is no recording. Raises ``ContractError`` for a name
    that is almost one."""
    shared: frozenset[str] = frozenset()
    """Modalities of which one file belongs to all views of a trial; of others, to one record."""
    view: str | None = None
    """The attribute by which the views of a trial differ; None where a trial has one view."""

    def may_share(self, modality: str, record: Record, other: Record) -> bool:
        """Whether two records may list one file of a modality: two views of one trial may."""
        if modality not in self.shared or record.label != other.label:
            return False
        differing = record.attributes.items() ^ other.attributes.items()
        return {name for name, _ in differing} <= {self.view}


UTD_MHAD = Layout(
    dataset="utd-mhad",
    classes=utd_mhad.UTD_MHAD_CLASSES,
    modalities=("rgb", "depth", "skeleton", "inertial"),
    place=utd_mhad.place,
)
"""Every record is one view of its own, and shares nothing."""
MMACT = Layout(
    dataset="mmact",
    classes=mmact.MMACT_CLASSES,
    modalities=(*mmact.VIEWED, *mmact.SHARED),
    place=mmact.place,
    shared=frozenset(mmact.SHARED),
    view="camera",
)
"""A record is a (subject, camera, scene, session, class)."""
_MMACT_37 = replace(
    MMACT,
    classes=mmact.MMACT_CLASSES_37,
    place=partial(mmact.place, classes=mmact.MMACT_CLASSES_37),
)

LAYOUTS: Mapping[str, Layout] = MappingProxyType({"utd-mhad": UTD_MHAD, "mmact": MMACT})
"""Data set to its layout."""


def layout_of(dataset: str, n_classes: int | None = None) -> Layout:
    """The layout of a data set.

    Args:
        dataset: Such as ``utd-mhad``.
        n_classes: Which way of counting its classes; None for the usual one.

    Example:
        >>> layout_of("utd-mhad").place("Depth/a2_s1_t3_depth.mat").record_id
        'a2_s1_t3'

    Raises:
        ConfigError: there is none; the message names what there is.
    """
    if dataset not in LAYOUTS:
        raise ConfigError(f"no layout for data set {dataset!r}: there are {sorted(LAYOUTS)}")
    usual = LAYOUTS[dataset]
    layouts = [layout for layout in (usual, _MMACT_37) if layout.dataset == dataset]
    counted = {len(layout.classes): layout for layout in layouts}
    if n_classes is not None and n_classes not in counted:
        raise ConfigError(
            f"{dataset} has no {n_classes} classes: wanted {' or '.join(map(str, counted))}"
        )
    return counted[n_classes or len(usual.classes)]
