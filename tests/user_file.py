"""A user's file that calls each public function: mypy reads it as strictly as ours.

Nothing runs it; what the functions do is in ``tests/unit/dmft/test_interface.py``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import assert_type

from torch import Tensor, nn
from torch.utils.data import DataLoader

import dmft
from dmft.evaluation.metrics import RunMetrics


class Printer:
    """A callback, with no class of ours above it."""

    def start(self, fold: str, n_epochs: int, done: int) -> None:
        """A fold begins."""

    def epoch(self, report: object) -> None:
        """An epoch has ended."""

    def end(self, fold: str, metrics: RunMetrics) -> None:
        """A fold has been measured."""


def mean_patch(patches: Mapping[str, Tensor], present: Tensor) -> dict[str, Tensor]:
    """A transform of one's own."""
    return {name: x.mean(dim=1) * present[:, :1] for name, x in patches.items()}


def work(raw: Path) -> str:
    """Cache to predictions."""
    cache: dmft.Cache = dmft.open_cache("raw.zarr", ["skeleton"], memory=10**9)
    some = cache.select("subject in (1, 3)").select(["a1_s1_t1"])
    cache.to_frame().groupby("subject")
    some.to_xarray().sel(record="a1_s1_t1")
    protocol: dmft.Protocol = dmft.load_protocol("utd-loso")
    fold: dmft.Fold = dmft.choose_folds(protocol, cache, "subject-1")[0]
    config: dmft.RunConfig = dmft.load_config("default", {"training.epochs": 3})
    transform = dmft.make_features(cache, config, fold.train)
    for records in (cache.dataset(fold, "test", transform), cache.dataset(transform=mean_patch)):
        DataLoader(records, batch_size=4, collate_fn=records.collate)
    callback: dmft.Callback = Printer()
    metrics = dmft.train(cache, protocol, "teacher", config=config, fold="all", callback=callback)
    assert_type(metrics, RunMetrics)
    dmft.train(cache, "utd-loso", raw / "other", config={"training": {"epochs": 3}}, kind="student")
    assert_type(
        dmft.distill(cache, "teacher", "student", config="paper", loss="m:Focal"), RunMetrics
    )
    assert_type(dmft.evaluate("student", cache_path=raw), RunMetrics)
    found = dmft.tune(
        cache, protocol, {"encoder.width": [16, 32]}, "tuned", trials=3, model="m:Net"
    )
    assert_type(found.config, dmft.RunConfig)
    dmft.train(cache, protocol, "tuned-run", config=found.folder)
    run: dmft.Run = dmft.load("student")
    assert_type(run["subject-1"].module, nn.Module)
    run.predict(cache).query("side == 'test'")
    run[0].predict(["a_skeleton.mat"], raw=raw).head()
    parts = run.scores.head(), run.confusion.sum(), run.epochs.tail(), len(run)
    assert_type(run.metrics.accuracy, float)
    assert_type(dmft.load_run("student/fold-subject-1").predict(cache, fold.test), Tensor)
    run[0].export("out", int8=False)
    dmft.read_results(raw).head()
    recognizer = dmft.Recognizer(modalities={"skeleton": (64, 60)}, epochs=3).fit([[0.0]], [1])
    recognizer.predict_proba([[0.0]]).sum()
    try:
        dmft.compare("student", "teacher")
    except dmft.DmftError as error:
        return str(error)
    return f"{dmft.__version__} {parts}"
