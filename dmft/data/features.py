"""From stored patches to what the model reads: augment, derive, pool, standardise.

The order matters. Stored patches are finer than the model's, so time can be bent and a
deviation inside a window computed after the augmentation, on the device, a batch at a time.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from dmft.config import ModalityConfig, RunConfig
from dmft.data.augment import Augmenter
from dmft.data.cache import Cache
from dmft.data.geometry import Geometry, find_geometry
from dmft.data.standardise import Standardizer, fit_standardizer
from dmft.models import InputShape

log = logging.getLogger(__name__)

BLOCK_RECORDS = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class FeaturePlan:
    """What is made of one modality's stored patches."""

    stored: InputShape
    """P and D in the cache."""
    config: ModalityConfig
    """What was asked for."""
    geometry: Geometry | None = None
    """For augmentation; None where nothing turns, and where nothing is trained."""

    @property
    def n_patches(self) -> int:
        """P of the model: stored patches are never interpolated to more than they are."""
        return min(self.config.n_patches, self.stored.n_patches)

    @property
    def deviations(self) -> bool:
        """Whether a pooled window holds at least two stored patches to deviate from each other."""
        return self.config.deviations and self.stored.n_patches >= 2 * self.n_patches

    @property
    def n_blocks(self) -> int:
        """Kinds of features side by side: values, velocities, deviations."""
        return 1 + int(self.config.velocities) + int(self.deviations)

    @property
    def output(self) -> InputShape:
        """P and D that the model sees."""
        return InputShape(
            n_patches=self.n_patches, n_features=self.n_blocks * self.stored.n_features
        )

    def derive(self, patches: Tensor) -> Tensor:
        """Pool to P patches and append the derived features.

        Shapes: (B, P_stored, D_stored) -> (B, P, D).
        """
        pool = pooling(self.stored.n_patches, self.n_patches, str(patches.device))
        blocks = [pool @ patches]
        if self.config.velocities:
            held = torch.cat([patches[:, :1], patches, patches[:, -1:]], dim=1)
            blocks.append(pool @ ((held[:, 2:] - held[:, :-2]) * (self.stored.n_patches / 2)))
        if self.deviations:
            centred = patches - patches.mean(dim=1, keepdim=True)
            variance = pool @ centred.square() - (pool @ centred).square()
            blocks.append(variance.clamp(min=0).sqrt())
        return torch.cat(blocks, dim=2)


@functools.cache
def pooling(n_stored: int, n_patches: int, device: str = "cpu") -> Tensor:
    """Weights that average ``n_stored`` patches into ``n_patches`` windows of equal length.

    A patch that lies across a border counts in both windows by its share.

    Shapes: returns (n_patches, n_stored); rows sum to 1.
    """
    borders = torch.arange(n_patches + 1, dtype=torch.float64) * (n_stored / n_patches)
    starts = torch.arange(n_stored, dtype=torch.float64)
    overlap = torch.minimum(borders[1:, None], starts + 1) - torch.maximum(
        borders[:-1, None], starts
    )
    return (overlap.clamp(min=0) * (n_patches / n_stored)).float().to(device)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureTransform:
    """Plans and standardizers of all modalities of a run: from a cache's rows to features."""

    plans: Mapping[str, FeaturePlan]
    """By modality, in the order of the model."""
    standardizers: Mapping[str, Standardizer]
    """Modality to what was fitted on the training fold."""

    @property
    def inputs(self) -> dict[str, InputShape]:
        """What the model must be built for."""
        return {name: plan.output for name, plan in self.plans.items()}

    def to(self, device: torch.device) -> FeatureTransform:
        """Return the same with its standardizers and geometries on a device."""
        plans = {
            name: replace(plan, geometry=plan.geometry.to(device)) if plan.geometry else plan
            for name, plan in self.plans.items()
        }
        moved = {name: fitted.to(device) for name, fitted in self.standardizers.items()}
        return FeatureTransform(plans=plans, standardizers=moved)

    def apply(
        self,
        patches: Mapping[str, Tensor],
        present: Tensor,
        indices: Tensor | None = None,
        augmenter: Augmenter | None = None,
    ) -> dict[str, Tensor]:
        """Return standardised features; rows of absent records are zero.

        Shapes: patches {m: (B, P_stored, D_stored)}, present (B, M), indices (B,) ->
        {m: (B, P, D)}.
        """
        features = {}
        for column, (name, plan) in enumerate(self.plans.items()):
            rows = patches[name].float()
            if augmenter is not None and indices is not None:
                rows = augmenter.patches(name, rows, plan.geometry, indices)
            made = self.standardizers[name].apply(plan.derive(rows))
            if augmenter is not None and indices is not None:
                made = augmenter.features(name, made, indices)
            features[name] = made * present[:, column, None, None]
        return features


def plan_features(cache: Cache, config: RunConfig) -> dict[str, FeaturePlan]:
    """Say what is made of each loaded modality."""
    plans = {}
    for name in cache.modalities:
        spec = cache.modality_spec(name)
        stored = InputShape(n_patches=spec.n_patches, n_features=spec.n_features)
        wanted = config.of_modality(name)
        reader = spec.encoding.get("reader")
        parents = reader.get("parents") if isinstance(reader, Mapping) else None
        geometry = find_geometry(wanted.geometry, stored.n_features, spec.feature_names, parents)
        plan = FeaturePlan(stored=stored, config=wanted, geometry=geometry)
        if plan.n_patches < plan.config.n_patches:
            log.warning(
                "%s is stored in %d patches, fewer than the %d that the configuration wants",
                name,
                plan.n_patches,
                plan.config.n_patches,
            )
        if plan.config.deviations and not plan.deviations:
            log.warning("%s is stored too coarsely for deviations inside a patch", name)
        plans[name] = plan
    return plans


def make_features(cache: Cache, config: RunConfig, train: Tensor) -> FeatureTransform:
    """Plan the features of a cache and fit their standardizers on the training records.

    Example::

        transform = make_features(cache, load_config(), fold.train)
        features = transform.apply(cache.features, cache.present)  # {m: (N, P, D)}

    Shapes: train (n,) int64, rows of the cache.
    """
    plans = plan_features(cache, config)
    standardizers = {}
    for column, (name, plan) in enumerate(plans.items()):
        if plan.config.standardise == "none":
            D = plan.output.n_features
            standardizers[name] = Standardizer(torch.zeros(D), torch.ones(D))
            continue
        chosen = train[cache.present[train, column]]
        standardizers[name] = fit_standardizer(
            (
                plan.derive(patches[name].float())
                for _, patches in cache.blocks(chosen, BLOCK_RECORDS, [name])
            ),
            plan.output.n_features,
            plan.config.geometry,
            plan.n_blocks,
        )
    return FeatureTransform(plans=plans, standardizers=standardizers)
