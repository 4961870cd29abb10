"""People held out of a training to be looked at while it goes on: a curve, or the epoch to keep.

They are of the fold's own training side, by the split that tuning and calibration use too. Whatever
is chosen by them has seen no test record.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dmft.config import RunConfig
from dmft.data import Cache, FeatureTransform
from dmft.evaluation.metrics import Scores, confusion
from dmft.models import Answer, answer_of, overall_vote
from dmft.models.config import require
from dmft.protocols import Fold, Protocol, inner_rules, make_fold
from dmft.runs.spec import KEEP, HeldOutScores, Validation
from pipeline.contract import ConfigError

N_PARTS = 5
"""About one of so many training people is held out, one at least."""
BATCH = 128


def hold_out(
    cache: Cache, protocol: Protocol, fold: Fold, by: str, *, keep: str = "last", patience: int = 0
) -> tuple[Validation, Fold]:
    """Hold about a fifth of a fold's training people out of it.

    Args:
        cache: Its records.
        protocol: That the fold is of.
        fold: The fold.
        by: The attribute whose values are held out whole, such as subject.
        keep: ``last`` for the last epoch's weights, ``best`` for those of the best epoch on them.
        patience: Epochs without a better one after which the training stops; 0 for never.

    Returns:
        What is held out, and the fold inside the training side.

    Raises:
        ConfigError: there is no such column, or ``patience`` without ``best``.
        ContractError: the training side has one value of it alone.
    """
    require(keep in KEEP, "keep", keep, " or ".join(KEEP))
    require(patience >= 0, "patience", patience, "0 or a number of epochs")
    if patience and keep != "best":
        raise ConfigError(f"patience is {patience} and keep {keep!r}: wanted keep 'best' with it")
    rule = inner_rules(fold, cache, by, N_PARTS)[0]
    inner = make_fold(rule, cache, protocol.name)
    validation = Validation(
        by=by, rule=rule, split_hash=inner.split_hash, keep=keep, patience=patience
    )
    return validation, inner


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """Who is held out, and how a model is measured on them."""

    settings: Validation
    """Who, and what for."""
    metric: str
    """Figure that the best epoch is best by: accuracy or macro_f1, as the protocol quotes."""
    cache: Cache
    """Their records."""
    rows: Tensor
    """Those of them that have a modality. Shapes: (n,) int64."""
    transform: FeatureTransform
    """Makes the model's features, on its device."""
    config: RunConfig
    """The run's."""
    device: torch.device
    """Where the model is."""

    def measure(self, model: nn.Module, epoch: int) -> HeldOutScores:
        """Figures of a model as it is after an epoch; nothing random is drawn."""
        model.eval()
        logits, reliability = [], []
        for rows, stored in self.cache.blocks(self.rows, BATCH, self.cache.modalities):
            present = self.cache.present[rows].to(self.device)
            patches = {name: tensor.to(self.device) for name, tensor in stored.items()}
            with torch.no_grad():
                answer = answer_of(model(self.transform.apply(patches, present), present))
            logits.append(answer.logits.cpu())
            reliability.append(answer.reliability.cpu())
        answer = Answer(torch.cat(logits), torch.cat(reliability))
        present, labels = self.cache.present[self.rows], self.cache.labels[self.rows]
        votes = overall_vote(answer, present, self.config.voting)
        scores = Scores.of(confusion(labels, votes.argmax(dim=-1), answer.logits.shape[-1]))
        chosen = votes.gather(1, labels[:, None])[:, 0]
        return HeldOutScores(
            epoch=epoch,
            n_records=len(labels),
            loss=float(-chosen.clamp(min=1e-9).log().mean()),
            accuracy=scores.accuracy,
            macro_f1=scores.macro_f1,
        )
