"""A run as one module: stored patches and presence in, probabilities and votes out.

Feature derivation, standardisation, the network and the vote are inside, so that whoever runs the
exported graph needs nothing of this project but its inputs. Encoding raw files is not inside.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from dmft.data.features import FeatureMaker
from dmft.data.standardise import Statistics
from dmft.models import modality_votes, overall_vote
from dmft.runs.folder import TrainedRun


class Recogniser(nn.Module):
    """A trained run with everything around its network.

    Shapes: patches {m: (B, P_stored, D_stored)}, present (B, M) bool -> probabilities (B, K),
    votes (B, M, K); a row of an absent modality may hold anything, NaN included, and its votes
    are zero.
    """

    def __init__(self, run: TrainedRun) -> None:
        super().__init__()
        self.network = run.model
        self.plans = run.maker.plans
        self.rule = run.info.config.voting.rule
        for name, statistics in run.maker.statistics.items():
            self.register_buffer(f"{name}_mean", statistics.mean)
            self.register_buffer(f"{name}_deviation", statistics.deviation)

    def forward(self, patches: Mapping[str, Tensor], present: Tensor) -> tuple[Tensor, Tensor]:
        """Derive, standardise, run the network, vote: Eqs (11) and (12)."""
        statistics = {
            name: Statistics(getattr(self, f"{name}_mean"), getattr(self, f"{name}_deviation"))
            for name in self.plans
        }
        maker = FeatureMaker(plans=self.plans, statistics=statistics)
        finite = {
            name: torch.where(present[:, column, None, None], patches[name], 0.0)
            for column, name in enumerate(self.plans)
        }
        logits = self.network(maker.make(finite, present), present)
        votes = modality_votes(logits, self.rule)
        heard = votes / votes.sum(dim=-1, keepdim=True) * present[:, :, None]
        return overall_vote(logits, present, self.rule), heard


def example_inputs(run: TrainedRun, n_records: int) -> tuple[dict[str, Tensor], Tensor]:
    """Inputs of the right shapes, all modalities present, from a fixed seed.

    Shapes: returns patches {m: (B, P_stored, D_stored)}, present (B, M).
    """
    draws = torch.Generator().manual_seed(0)
    patches = {
        name: torch.randn(n_records, shape.n_patches, shape.n_features, generator=draws)
        for name, shape in run.info.stored.items()
    }
    return patches, torch.ones(n_records, len(patches), dtype=torch.bool)
