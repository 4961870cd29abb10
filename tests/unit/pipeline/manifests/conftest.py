"""What tests of the lists share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.pipeline.manifests.small import write_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A tree of three records."""
    return write_tree(tmp_path / "raw")
