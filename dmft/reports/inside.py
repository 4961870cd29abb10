"""What models see, for a report: a map of records as they stand before the heads, and attention.

The one part of a report that asks models: their weights and their cache have to be there. A map is
of one fold's model, since two models' spaces have nothing in common. Attention is that of the class
token in a modality's last temporal layer, before any fusion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dmft.models.heads import BranchHead
from dmft.models.layers import SelfAttention
from dmft.models.mstt import Mstt
from dmft.protocols import make_fold
from dmft.protocols.shared_files import seen_by
from dmft.reports.compare import Setting
from dmft.reports.load import MeasuredFold
from dmft.reports.placing import Places, placing
from dmft.runs.trained import TrainedRun, load_run, present_of
from pipeline.contract import DmftError

if TYPE_CHECKING:
    from dmft.data import Cache

MAX_MODELS = 6
"""Settings that are looked into: those that figures draw."""
MAX_PLACES = 1500
"""Records of a map; of more training records every so many."""
TRAINED, RIGHT, WRONG = 0, 1, 2
"""What became of a record of a map."""


def look_inside(
    settings: Sequence[Setting],
    caches: Mapping[str, Cache],
    drawn: Sequence[str],
    progress: Callable[[int, int], None] | None = None,
    *,
    map_by: str = "pca",
) -> tuple[dict[str, Any], list[str]]:
    """Ask the first run of each setting; return plain data, and a line for each that cannot be.

    Args:
        settings: Of which the first few are asked.
        caches: By fingerprint.
        drawn: Records whose attention is wanted.
        progress: Told how many models were asked, and of how many.
        map_by: ``pca`` or ``umap``: how a map has two dimensions.

    Raises:
        ConfigError: there is no such map, or its package is not installed.

    Returns:
        ``maps``, one a setting, and ``attention`` by record: a list of ``setting``, ``modality``
        and ``weights``, one a time step, which add up to 1.
    """
    place = placing(map_by)
    folds = [
        (number, fold, fold is setting.runs[0].folds[0])
        for number, setting in enumerate(settings[:MAX_MODELS])
        for fold in setting.runs[0].folds
    ]
    found: dict[str, Any] = {"maps": [], "attention": {}}
    lines: list[str] = []
    for done, (number, fold, is_first) in enumerate(folds):
        if progress is not None:
            progress(done, len(folds))
        wanted = [record for record in drawn if record in set(fold.predictions["record"])]
        cache = caches.get(fold.info.spec.cache_fingerprint)
        if cache is None or not (wanted or is_first):
            continue
        try:
            run = load_run(fold.folder)
            if is_first and (made := _map(run, fold, cache, place)) is not None:
                found["maps"].append({"setting": number, **made})
            for record, attention in _attention(run, cache, wanted):
                more = [{"setting": number, **each} for each in attention]
                found["attention"].setdefault(record, []).extend(more)
        except DmftError as error:
            lines.append(str(error))
    return found, lines


def _map(
    run: TrainedRun,
    fold: MeasuredFold,
    cache: Cache,
    place: Callable[[NDArray[np.float64]], Places],
) -> dict[str, Any] | None:
    """Test and training records of a fold in two dimensions; None of a network of one's own."""
    of_fold = make_fold(run.spec.fold, cache, run.info.source.protocol.name)
    seen = seen_by(of_fold, cache)
    right = dict(zip(fold.predictions["record"], fold.predictions["correct"], strict=True))
    test = [row for row in of_fold.test.tolist() if cache.record_ids[row] in right]
    n_left = max(MAX_PLACES - len(test), 1)
    train = of_fold.train.tolist()[:: -(-len(of_fold.train) // n_left) or 1]
    rows = torch.tensor([*test, *train])
    tokens = class_tokens(run, seen, rows)
    if tokens is None:
        return None
    places, explained = place(tokens)
    states = [RIGHT if right[cache.record_ids[row]] else WRONG for row in test]
    return {
        "fold": run.spec.fold.name,
        "explained": None if explained is None else explained.round(4).tolist(),
        "records": [cache.record_ids[row] for row in rows.tolist()],
        "labels": cache.labels[rows].tolist(),
        "states": states + [TRAINED] * len(train),
        "places": places.round(3).tolist(),
    }


def class_tokens(run: TrainedRun, cache: Cache, rows: Tensor) -> NDArray[np.float64] | None:
    """What the heads classify, of all modalities and branches side by side; None without heads.

    Shapes: rows (B,) -> (B, sum of widths).
    """
    caught: list[Tensor] = []

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        caught.append(inputs[0].flatten(1))

    heads = [module for module in run.model.modules() if isinstance(module, BranchHead)]
    if not heads:
        return None
    handles = [head.register_forward_pre_hook(catch) for head in heads]
    parts = []
    try:
        for block in torch.split(rows, 128):
            caught.clear()
            _ask(run, cache, block)
            parts.append(torch.cat(caught, dim=1))
    finally:
        for handle in handles:
            handle.remove()
    tokens: NDArray[np.float64] = torch.cat(parts).double().numpy()
    return tokens


def _attention(
    run: TrainedRun, cache: Cache, records: Sequence[str]
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Of each record what its modalities' class tokens attend to over time."""
    branches = {
        name: branch.temporal
        for name, branch in getattr(run.model, "mstt", {}).items()
        if isinstance(branch, Mstt)
    }
    row_of = {record: row for row, record in enumerate(cache.record_ids)}
    known = [record for record in records if record in row_of]
    if not branches or not known:
        return
    rows = torch.tensor([row_of[record] for record in known])
    present = present_of(cache, run.spec.modalities)[rows]
    weights: dict[str, Tensor] = {}
    last = dict[str, SelfAttention]()
    for name, branch in branches.items():
        *_, layer = branch.layers
        assert isinstance(layer.attention, SelfAttention)
        last[name] = layer.attention
    with _watched(last, weights):
        _ask(run, cache, rows)
    for place, record in enumerate(known):
        yield (
            record,
            [
                {"modality": name, "weights": [round(w, 4) for w in weights[name][place].tolist()]}
                for column, name in enumerate(run.spec.modalities)
                if name in weights and present[place, column]
            ],
        )


@contextmanager
def _watched(layers: Mapping[str, SelfAttention], weights: dict[str, Tensor]) -> Iterator[None]:
    """Note, while it lasts, what the first token of some layers attends to, itself left out.

    Shapes: puts (B, T - 1) into ``weights``, rows that add up to 1, a mean over heads.
    """

    def watching(name: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
        def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
            logits = q[:, :, :1] @ k.transpose(2, 3) / q.shape[3] ** 0.5
            over_time = logits.softmax(dim=3)[:, :, 0, 1:].mean(dim=1)
            weights[name] = over_time / over_time.sum(dim=1, keepdim=True)
            return F.scaled_dot_product_attention(q, k, v)

        return attend

    kept = {name: layer.attend for name, layer in layers.items()}
    try:
        for name, layer in layers.items():
            layer.attend = watching(name)
        yield
    finally:
        for name, layer in layers.items():
            layer.attend = kept[name]


def _ask(run: TrainedRun, cache: Cache, rows: Tensor) -> None:
    """Let the model answer, for what can be caught meanwhile."""
    patches = {name: cache.features[name][rows] for name in run.spec.modalities}
    run.ask_batch(patches, present_of(cache, run.spec.modalities)[rows])
