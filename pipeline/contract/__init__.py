"""What the encoder and the trainer both know: errors, records, and the cache's layout.

It is plain Python: it imports no array library, no storage library and no framework, and it opens
no cache and no recording. ``dmft`` may import it and :mod:`pipeline.common`, and nothing else of
``pipeline``.
"""

from pipeline.contract.cache import (
    CACHE_ATTRIBUTE,
    CACHE_FORMAT,
    CARD_FILE,
    COMPANIONS,
    CROISSANT_FILE,
    LEDGER_PREFIX,
    SCHEMA_VERSION,
    SOURCE_DIGITS,
    TABLE_FILE,
    CacheSpec,
    CacheState,
    ModalitySpec,
    Presence,
    feature_array,
    length_array,
    presence_array,
    source_array,
)
from pipeline.contract.errors import ConfigError, ContractError, DmftError, RecordingError, refuse
from pipeline.contract.records import (
    Record,
    StreamRef,
    check_modality_name,
    check_path_name,
    leads_out,
)

__all__ = [
    "CACHE_ATTRIBUTE",
    "CACHE_FORMAT",
    "CARD_FILE",
    "COMPANIONS",
    "CROISSANT_FILE",
    "LEDGER_PREFIX",
    "SCHEMA_VERSION",
    "SOURCE_DIGITS",
    "TABLE_FILE",
    "CacheSpec",
    "CacheState",
    "ConfigError",
    "ContractError",
    "DmftError",
    "ModalitySpec",
    "Presence",
    "Record",
    "RecordingError",
    "StreamRef",
    "check_modality_name",
    "check_path_name",
    "feature_array",
    "leads_out",
    "length_array",
    "presence_array",
    "refuse",
    "source_array",
]
