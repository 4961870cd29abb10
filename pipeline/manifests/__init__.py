"""Manifests: the ordered list of a data set's records and files, as JSON Lines.

``model`` is the list itself, ``files`` reads and writes it, ``build`` makes one from a raw tree,
``check`` holds one against a tree or another manifest, ``lock`` pins files as they are (``pins``)
and ``file_check`` holds a file against all that is known of it, ``layout`` says how each data set
names its files (``utd_mhad``, ``mmact``), ``shipped`` gives the ones that ship in
``data_manifests/``, and ``facts`` makes UTD-MHAD's.
"""

from pipeline.manifests.build import Build, build
from pipeline.manifests.check import check, compare
from pipeline.manifests.files import load_manifest, parse_manifest, save_manifest
from pipeline.manifests.layout import LAYOUTS
from pipeline.manifests.model import Manifest, Problem, ProblemKind
from pipeline.manifests.shipped import shipped_manifest

__all__ = [
    "LAYOUTS",
    "Build",
    "Manifest",
    "Problem",
    "ProblemKind",
    "build",
    "check",
    "compare",
    "load_manifest",
    "parse_manifest",
    "save_manifest",
    "shipped_manifest",
]
