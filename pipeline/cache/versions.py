"""Schema versions: what makes of a cache's description what the next version would say.

Whoever writes caches reads those of every earlier version through this; ``dmft cache migrate``
stores what comes out. Readers know their own version alone, and name that command.

A converter changes the description alone. Patches and ledgers are never rewritten by one, and all
other arrays and files are derived from them whenever a cache is sealed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Converter = Callable[[Mapping[str, Any]], dict[str, Any]]

CONVERTERS: Mapping[int, Converter] = {}
"""Schema version to what makes the ``dmft`` attribute of the next version of its own.

There is an entry for every version before the present one; ``tests/golden/caches`` has a cache of
each.
"""


def brought_up(attribute: object) -> object:
    """A stored description as this version says it; one that no converter knows, as it is."""
    while isinstance(attribute, Mapping):
        version = attribute.get("schema_version")
        if not isinstance(version, int) or version not in CONVERTERS:
            break
        attribute = {**CONVERTERS[version](attribute), "schema_version": version + 1}
    return attribute
