"""What went wrong with a place for objects, in one sentence and with what to do."""

from __future__ import annotations


class StoreError(OSError):
    """A place for objects did not answer, or not as it must, though it was asked again."""


def told(error: Exception) -> str:
    """The sentence of a storage library's error, without the request that it quotes.

    >>> told(Exception("Generic S3 error: no route\\n\\nDebug source:\\nGeneric {}"))
    'Generic S3 error: no route'
    """
    return " ".join(str(error).split("\n\nDebug source")[0].split())[:400]


def is_foreign(error: BaseException) -> bool:
    """Whether the library for object stores raised an error, which is asked without importing it.

    Zarr writes arrays through it, so that its errors come from there as they are.
    """
    return type(error).__module__.startswith("obstore.")
