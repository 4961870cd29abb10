"""What an encode is asked, decided: modalities, encodings, weights, device, and where it runs.

Everything that can be refused without reading a recording is refused here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.cache.description import read_spec
from pipeline.cache.objects import FILE, Objects
from pipeline.cache.repair import is_cache
from pipeline.cache.writer import records_per_chunk, spec_or_nothing
from pipeline.common.cores import n_cores
from pipeline.contract import ConfigError, ContractError, ModalitySpec
from pipeline.encoders import weights
from pipeline.encoders.config import EncodingConfig, FramesEncoding, ModalityEncoding
from pipeline.encoders.described import check_body, own_encodings
from pipeline.encoders.kinds import WEIGHTS, kind_noted, kind_of, to_note
from pipeline.encoders.networks import OWN, width_of
from pipeline.manifests import Manifest
from pipeline.readers.plugins import with_plugins
from pipeline.readers.registry import modalities_of, readable
from pipeline.signals.recording import Frames, Streams

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodeOptions:
    """What a user may ask of one encode; none of it but the configuration changes a number."""

    config: EncodingConfig = field(default_factory=EncodingConfig)
    modalities: tuple[str, ...] = ()
    """Empty for every modality of the manifest."""
    weights: str = weights.USUAL
    """Of the networks that frames pass: a name for all, or ``NAME,MODALITY=NAME``."""
    device: str = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    n_workers: int | None = None
    """None for one a core or GPU, or none while that is quicker; 0 to stay in this process."""
    scheduler: str | None = None
    dashboard: str = "127.0.0.1:0"
    """Where Dask shows itself; port 0 takes one that is free."""
    retry_failed: bool = False
    fail_fast: bool = False
    check_stored: bool = False
    """Read every stored row again first, and encode again what is not what was written."""
    replace: bool = False
    """Drop a modality that is stored in another encoding, instead of refusing."""
    despite_edits: bool = False
    """Take the manifest's word where records were dropped from the cache or relabelled in it."""
    licence: str = ""
    """Of the data, as a name or an address, for the card; empty leaves what the cache says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An encode with everything decided."""

    manifest: Manifest
    raw: str
    location: str
    options: EncodeOptions
    specs: Mapping[str, ModalitySpec]
    device: str
    unfetched: tuple[str, ...] = ()
    """Addresses of weights that an encode would download first."""

    def n_workers(self, n_tasks: int) -> int:
        """Worker processes of our own; 0 to stay in this one.

        Args:
            n_tasks: More workers than tasks have nothing to do.
        """
        if self.options.n_workers is not None:
            return self.options.n_workers
        n_gpus = 0
        if self.device == "cuda":
            import torch

            n_gpus = torch.cuda.device_count()
        return max(1, min(n_gpus or n_cores(), n_tasks))

    @property
    def has_network(self) -> bool:
        """Whether frames pass a network."""
        return any(kind_noted(s.encoding).needs_network for s in self.specs.values())

    @property
    def may_stay(self) -> bool:
        """Whether this process may do what workers would start too late for: no frames, no wish."""
        return not self.has_network and self.options.n_workers is None


def set_up(
    manifest: Manifest, raw: str, location: str, options: EncodeOptions, *, fetch: bool = True
) -> Setup:
    """Decide everything that an encode needs, and refuse at once what cannot work.

    ``fetch``: download weights that are not here; without it they are taken to be those that the
    cache was encoded with, or, of a new one, any.

    Raises:
        ConfigError: a modality that there is none of, a device that is not there, weights that
            cannot be had, a cache that workers cannot reach, a place where something else is.
        ContractError: the cache there is damaged.
    """
    description = manifest.described
    config = options.config.with_own(own_encodings(description))
    encodings = {name: config.of(name) for name in _modalities(manifest, options.modalities)}
    _check_names(options.weights, encodings)
    device, hashes = "cpu", dict[str, str]()
    found: dict[tuple[str, str], str] = {}
    unfetched: dict[str, str] = {}
    if not any(kind_of(encoding).needs_network for encoding in encodings.values()):
        if options.device == "cuda":
            _device(options.device, options.scheduler)
            log.warning(
                "--device cuda: %s pass no network and are encoded on the CPU", ", ".join(encodings)
            )
    else:
        device = _device(options.device, options.scheduler)
        for name, encoding in encodings.items():
            if isinstance(encoding, FramesEncoding):
                asked = weights.weights_for(options.weights, name)
                url = "" if fetch else weights.to_download(asked, encoding.network)
                if url:
                    unfetched[name] = url
                    continue
                width_of(encoding.network, encoding.image_size, asked)
                if (asked, encoding.network) not in found:
                    loaded = weights.load_weights(asked, encoding.network)
                    found[asked, encoding.network] = loaded.sha256
                hashes[name] = found[asked, encoding.network]
    if location.startswith("memory://") and (options.n_workers != 0 or options.scheduler):
        raise ConfigError(
            f"--out {location} lies in the memory of one process: encode into it with --workers 0 "
            "and without --scheduler"
        )
    if location.startswith(("http://", "https://")):
        raise ConfigError(
            f"--out {location} can be read and not written: name a folder or a bucket, such as "
            "s3://bucket/cache.zarr"
        )
    # Relative names would mean other folders to workers elsewhere.
    if "://" not in location or location.startswith(FILE):
        location = str(Path(location.removeprefix(FILE)).absolute())
    stored = _stored_modalities(location, options.check_stored)
    for name in unfetched:
        hashes[name] = str(stored[name].encoding.get(WEIGHTS, "")) if name in stored else ""
    for name, encoding in encodings.items():
        if isinstance(encoding, FramesEncoding) and encoding.dtype == "auto":
            # What it meant when the cache was begun: going on elsewhere must not start anew.
            meant = stored[name].encoding.get("dtype") if name in stored else None
            best: Any = "float32" if encoding.network in OWN else _best_dtype(device)
            encodings[name] = replace(encoding, dtype=meant or best)
    return Setup(
        manifest=manifest,
        raw=str(Path(raw).absolute()),
        location=location,
        options=options,
        specs={
            name: _spec(manifest, name, encoding, hashes, stored.get(name), options.weights)
            for name, encoding in encodings.items()
        },
        device=device,
        unfetched=tuple(dict.fromkeys(unfetched.values())),
    )


def _check_names(asked: str, encodings: Mapping[str, ModalityEncoding]) -> None:
    """Refuse weights of a modality that passes no network.

    Raises:
        ConfigError: there are some.
    """
    of_frames = [name for name, each in encodings.items() if isinstance(each, FramesEncoding)]
    for name in weights.weights_by_modality(asked):
        if name and name not in of_frames:
            raise ConfigError(
                f"--weights {asked} names {name!r}: modalities whose frames pass a network are "
                f"{', '.join(of_frames) or 'none here'}; a file of such a name is ./{name}=..."
            )


def _modalities(manifest: Manifest, asked: tuple[str, ...]) -> tuple[str, ...]:
    """Those to encode, in the readers' order."""
    own, listed = manifest.described, manifest.modalities
    known = tuple(own.modalities) if own is not None else modalities_of(manifest.dataset)
    for name in asked or listed:
        if name not in known:
            raise ConfigError(
                f"no reader for modality {name!r} of {manifest.dataset}: have {', '.join(known)}"
                + ("" if asked else "; name those to encode with --modalities")
            )
        if name not in listed:
            raise ConfigError(f"the manifest has no {name}: its modalities are {', '.join(listed)}")
    return tuple(name for name in known if name in (asked or listed))


def _stored_modalities(location: str, is_mended: bool) -> Mapping[str, ModalitySpec]:
    """What the cache there has, if there is one; a description that is damaged may be mended."""
    objects = Objects(location)
    try:
        stored = read_spec(objects) if is_mended and is_cache(objects) else spec_or_nothing(objects)
    except ContractError:
        if not is_mended:
            raise
        stored = None
    return stored.modalities if stored else {}


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


def _best_dtype(device: str) -> Any:
    import torch

    from pipeline.encoders.frames import resolve_dtype

    if device == "cuda" and not torch.cuda.is_available():
        return "bfloat16"  # the GPUs are elsewhere, and none that PyTorch still supports lacks it
    return resolve_dtype(torch.device(device))


def _spec(
    manifest: Manifest,
    modality: str,
    encoding: ModalityEncoding,
    hashes: Mapping[str, str],
    stored: ModalitySpec | None,
    weights_name: str,
) -> ModalitySpec:
    kind, own, noted = kind_of(encoding), manifest.described, None
    if own is not None:
        check_body(modality, encoding)
        noted = with_plugins(own.modalities[modality].reading).to_note()
    source = readable(manifest.dataset, modality, noted)
    if (source.gives is Frames) != kind.needs_network:
        raise ConfigError(
            f"{modality} of {manifest.dataset} is read as {source.gives.__name__} and configured "
            f"as {kind.settings.__name__}: give it a kind that takes them in the encoding's "
            "configuration"
        )
    is_timed = source.gives is Streams
    weights_sha256, width = None, 0
    if isinstance(encoding, FramesEncoding):
        weights_sha256 = hashes[modality]
        asked = weights.weights_for(weights_name, modality)
        width = width_of(encoding.network, encoding.image_size, asked)
    spec = ModalitySpec(
        name=modality,
        n_patches=encoding.patches,
        n_features=width or len(source.columns),
        dtype=kind.dtype,
        records_per_chunk=1,
        encoding=to_note(encoding, weights_sha256=weights_sha256, is_timed=is_timed, reader=noted),
        feature_names=source.columns,
    )
    # How a cache is cut into chunks changes no number: one that is there stays as it is cut.
    if stored and replace(spec, records_per_chunk=stored.records_per_chunk) == stored:
        return stored
    return replace(spec, records_per_chunk=records_per_chunk(spec.row_bytes))
