"""A run as one module: stored patches and presence in, votes out.

Feature derivation, standardisation, the network and the vote are inside, so that whoever runs the
exported graph needs nothing of this project but its inputs. Encoding raw files is not inside.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmft.data.features import FeatureTransform
from dmft.data.standardise import Standardizer
from dmft.export.folder import Vote, Votes
from dmft.models import answer_of, modality_votes, overall_vote
from dmft.runs.trained import TrainedRun


class RunModule(nn.Module):
    """A trained run with everything around its network.

    Shapes: patches {m: (B, P_stored, D_stored)}, present (B, M) bool -> probabilities (B, K),
    votes (B, M, K), reliability (B, M); a row of an absent modality may hold anything, NaN
    included, and its votes and reliability are zero.
    """

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        self.network = run.model
        self.plans = run.transform.plans
        self.voting = run.info.spec.config.voting
        for name, fitted in run.transform.standardizers.items():
            self.register_buffer(f"{name}_mean", fitted.mean)
            self.register_buffer(f"{name}_std", fitted.std)

    def forward(
        self, patches: Mapping[str, Tensor], present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Derive, standardise, run the network, vote: Eqs (11) and (12)."""
        standardizers = {
            name: Standardizer(getattr(self, f"{name}_mean"), getattr(self, f"{name}_std"))
            for name in self.plans
        }
        transform = FeatureTransform(plans=self.plans, standardizers=standardizers)
        finite = {
            name: torch.where(present[:, column, None, None], patches[name], 0.0)
            for column, name in enumerate(self.plans)
        }
        answer = answer_of(self.network(transform.apply(finite, present), present))
        votes = modality_votes(answer.logits, self.voting)
        present_votes = votes / votes.sum(dim=-1, keepdim=True) * present[:, :, None]
        probabilities = overall_vote(answer, present, self.voting)
        return probabilities, present_votes, answer.reliability * present


def vote_of(run: TrainedRun) -> Vote:
    """A run as a function of arrays, as :class:`dmft.export.folder.ExportedGraph` is one."""
    module, device = RunModule(run).to(run.device).eval(), run.device

    def vote(patches: Mapping[str, NDArray[Any]], present: NDArray[np.bool_]) -> Votes:
        tensors = {m: torch.from_numpy(values).float().to(device) for m, values in patches.items()}
        with torch.no_grad():
            outputs = module(tensors, torch.from_numpy(present).to(device))
        return Votes(*(output.cpu().numpy() for output in outputs))

    return vote


def example_inputs(run: TrainedRun, n_records: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs of the right shapes, all modalities present, from a fixed seed.

    Shapes: returns patches {m: (B, P_stored, D_stored)}, present (B, M).
    """
    draws = torch.Generator().manual_seed(0)
    patches = {
        name: torch.randn(n_records, shape.n_patches, shape.n_features, generator=draws)
        for name, shape in run.info.spec.stored.items()
    }
    return patches, torch.ones(n_records, len(patches), dtype=torch.bool)
