"""Which network a run has that is not one of ours; told apart without PyTorch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Which network a run has that is not one of ours."""

    name: str
    """``my_package.gru:GruFusion``, or the name of an entry point."""
    source_sha256: str
    """Of the file that holds the class."""

    @property
    def title(self) -> str:
        """Short, for people."""
        return self.name.rpartition(":")[2]
