"""The errors that a user can meet, each saying where, what was found, what was wanted, what next.

A programming mistake is an ``assert`` or a ``TypeError``, never one of these.
"""

from __future__ import annotations

from functools import partial


class DmftError(Exception):
    """Something a user can mend; the command line prints it without a traceback."""


class ConfigError(DmftError):
    """A configuration, an option or a combination of them that cannot work."""


class ContractError(DmftError):
    """A manifest, cache, run folder or protocol that is not what its format promises."""


class RecordingError(DmftError):
    """One stream of one recording that cannot be read or encoded; the others go on."""

    def __init__(self, message: str, *, stage: str = "read", path: str | None = None) -> None:
        """Describe the failure of one stream.

        Args:
            message: What was found and what was wanted.
            stage: Where it failed: ``open``, ``read``, ``check`` or ``encode``.
            path: The file, relative to the raw tree, where there is one.
        """
        super().__init__(message)
        self.stage = stage
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the journey between processes with every field."""
        return partial(RecordingError, str(self), stage=self.stage, path=self.path), ()


def refuse(path: str, reason: str, stage: str = "check") -> RecordingError:
    """A file that cannot be read or encoded, to raise: its path, and what is wrong with it."""
    return RecordingError(f"{path} {reason}", stage=stage, path=path)
