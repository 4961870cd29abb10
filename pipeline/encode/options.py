"""What an encode is asked, decided: modalities, encodings, weights, device, and where it runs.

Everything that can be refused without reading a recording is refused here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.cache.description import read_spec
from pipeline.cache.objects import FILE, Objects
from pipeline.cache.writer import CacheStore, records_per_chunk
from pipeline.contract import CacheSpec, ConfigError, ContractError, ModalitySpec
from pipeline.encoders.config import EncodingConfig, FramesEncoding, ModalityEncoding
from pipeline.encoders.kinds import kind_of, to_note
from pipeline.manifests import Manifest
from pipeline.readers.registry import modalities_of, readable
from pipeline.signals.recording import Frames, Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """What a user may ask of one encode; none of it but the configuration changes a number."""

    config: EncodingConfig = field(default_factory=EncodingConfig)
    modalities: tuple[str, ...] = ()
    """Empty for every modality of the manifest."""
    weights: str = "imagenet"
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    n_workers: int | None = None
    """None for one a core, or one a GPU; 0 to stay in this process."""
    scheduler: str | None = None
    retry_failed: bool = False
    fail_fast: bool = False
    check_stored: bool = False
    """Read every stored row again first, and encode again what is not what was written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An encode with everything decided."""

    manifest: Manifest
    raw: str
    location: str
    options: EncodeOptions
    encodings: Mapping[str, ModalityEncoding]
    specs: Mapping[str, ModalitySpec]
    weights_sha256: str | None
    device: str

    @property
    def needs_network(self) -> bool:
        """Whether frames pass a network."""
        return any(kind_of(encoding).needs_network for encoding in self.encodings.values())

    @property
    def n_devices(self) -> int:
        """GPUs of this machine that the encode may use."""
        if self.device != "cuda":
            return 0
        import torch

        return torch.cuda.device_count()

    def n_workers(self, n_tasks: int) -> int:
        """Worker processes of our own; 0 to stay in this one.

        Args:
            n_tasks: More workers than tasks have nothing to do.
        """
        if self.options.n_workers is not None:
            return self.options.n_workers
        return max(1, min(self.n_devices or n_cores(), n_tasks))

    def preview(self) -> CacheStore:
        """The cache as the encode will arrange it, changing nothing.

        Raises:
            ConfigError: the cache there cannot take these records.
            ContractError: the cache there is damaged, or is none.
        """
        return CacheStore.preview(self.location, self.manifest, self.specs)


def n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def set_up(manifest: Manifest, raw: str, location: str, options: EncodeOptions) -> Setup:
    """Decide everything that an encode needs, and refuse at once what cannot work.

    Raises:
        ConfigError: a modality that there is none of, a device that is not there, weights that
            cannot be had, a cache that workers cannot reach.
        ContractError: the cache there is damaged, or is none.
    """
    modalities = _modalities(manifest, options.modalities)
    device = "cpu"
    weights_sha256 = None
    encodings = {name: options.config.of(name) for name in modalities}
    if any(kind_of(encoding).needs_network for encoding in encodings.values()):
        device = _device(options.device, options.scheduler)
        weights_sha256 = _weights_hash(options.weights)
    _check_reach(location, options)
    try:
        stored = read_spec(Objects(location))
    except ContractError:
        if not options.check_stored:
            raise
        stored = None  # its description is damaged: it is mended later
    for name, encoding in encodings.items():
        if isinstance(encoding, FramesEncoding) and encoding.dtype == "auto":
            dtype = _stored_dtype(stored, name) or _best_dtype(device)
            encodings[name] = replace(encoding, dtype=dtype)
    specs = {
        name: _spec(manifest.dataset, name, encoding, weights_sha256, stored)
        for name, encoding in encodings.items()
    }
    # Relative names would mean other folders to workers elsewhere.
    if "://" not in location or location.startswith(FILE):
        location = str(Path(location.removeprefix(FILE)).absolute())
    return Setup(
        manifest=manifest,
        raw=str(Path(raw).absolute()),
        location=location,
        options=options,
        encodings=encodings,
        specs=specs,
        weights_sha256=weights_sha256,
        device=device,
    )


def _modalities(manifest: Manifest, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those to encode, in the readers' order."""
    known, listed = modalities_of(manifest.dataset), manifest.modalities
    for name in asked or listed:
        if name not in known:
            raise ConfigError(
                f"no reader for modality {name!r} of {manifest.dataset}: have {', '.join(known)}"
                + ("" if asked else "; name those to encode with --modalities")
            )
        if name not in listed:
            raise ConfigError(f"the manifest has no {name}: its modalities are {', '.join(listed)}")
    return tuple(name for name in known if name in (asked or listed))


def _check_reach(location: str, options: EncodeOptions) -> None:
    if location.startswith("memory://") and (options.n_workers != 0 or options.scheduler):
        raise ConfigError(
            f"--out {location} lies in the memory of one process: encode into it with --workers 0 "
            "and without --scheduler"
        )


def _device(asked: str, scheduler: str | None) -> str:
    import torch

    if asked == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if asked == "cuda" and scheduler is None and not torch.cuda.is_available():
        raise ConfigError(
            "--device cuda: PyTorch finds no GPU here. Use --device cpu, or give --scheduler the "
            "address of a Dask cluster whose workers have one"
        )
    return asked


def _weights_hash(name: str) -> str:
    from pipeline.encoders.weights import load_weights

    return load_weights(name).sha256


def _stored_dtype(stored: CacheSpec | None, modality: str) -> Any:
    """What ``auto`` meant when the cache was begun: going on elsewhere must not start anew."""
    if stored is None or modality not in stored.modalities:
        return None
    return stored.modalities[modality].encoding.get("dtype")


def _best_dtype(device: str) -> Any:
    import torch

    from pipeline.encoders.frames import resolve_dtype

    if device == "cuda" and not torch.cuda.is_available():
        return "bfloat16"  # the GPUs are elsewhere, and none that PyTorch still supports lacks it
    return resolve_dtype(torch.device(device))


def _spec(
    dataset: str,
    modality: str,
    encoding: ModalityEncoding,
    weights_sha256: str | None,
    stored: CacheSpec | None,
) -> ModalitySpec:
    kind, source = kind_of(encoding), readable(dataset, modality)
    if (source.gives is Frames) != kind.needs_network:
        raise ConfigError(
            f"{modality} of {dataset} is read as {source.gives.__name__} and configured as "
            f"{kind.name}: give it a kind that takes them in the encoding's configuration"
        )
    spec = ModalitySpec(
        name=modality,
        n_patches=encoding.patches,
        n_features=kind.network_features or len(source.columns),
        dtype=kind.dtype,
        records_per_chunk=1,
        encoding=to_note(encoding, weights_sha256=weights_sha256, is_timed=source.gives is Streams),
        feature_names=source.columns,
    )
    spec = replace(spec, records_per_chunk=records_per_chunk(spec.row_bytes))
    there = stored.modalities.get(modality) if stored else None
    # How a cache is cut into chunks changes no number: one that is there stays as it is cut.
    if there and replace(spec, records_per_chunk=there.records_per_chunk) == there:
        return there
    return spec
