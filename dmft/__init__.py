"""The light trainer: one feature cache in, trained recognisers and their figures out.

What a notebook needs is here by one import, and nothing heavy is loaded before it is used::

    import dmft

    cache = dmft.open_cache("raw.zarr")
    dmft.train(cache, "utd-loso", "teacher", config={"training.epochs": 20}, fold="all")
    dmft.distill(cache, "teacher", "student")
    run = dmft.load("student")
    run.scores, run.confusion, run.predict(cache)  # pandas.DataFrame each
"""

import importlib.util
from importlib import metadata
from typing import TYPE_CHECKING, Any

try:
    from pipeline.common.lazy import lazily
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] != "pipeline":
        raise
    _found = importlib.util.find_spec("pipeline")
    raise ImportError(
        f"{_found.origin if _found else 'nothing'} is imported as 'pipeline', which is the name of "
        "a package of dmft: rename that file, or start Python in another folder"
    ) from error

if TYPE_CHECKING:
    from dmft.config import RunConfig, load_config
    from dmft.data import Cache, make_features, open_cache
    from dmft.evaluation.evaluate import evaluate
    from dmft.experiments.compare import compare
    from dmft.experiments.results import read_results
    from dmft.notebook import Run, load
    from dmft.notebook.recognizer import Recognizer
    from dmft.protocols import Fold, Protocol, choose_folds, load_protocol
    from dmft.runs.trained import load_run
    from dmft.training.distill import distill
    from dmft.training.log import Callback
    from dmft.training.trackers import log_to
    from dmft.training.train import train
    from dmft.tuning import Tuning, tune
    from pipeline.contract import DmftError

    __version__: str
else:
    _find = lazily(
        __name__,
        {
            "config": "RunConfig load_config",
            "data": "Cache make_features open_cache",
            "evaluation.evaluate": "evaluate",
            "experiments.compare": "compare",
            "experiments.results": "read_results",
            "notebook": "Run load",
            "notebook.recognizer": "Recognizer",
            "protocols": "Fold Protocol choose_folds load_protocol",
            "runs.trained": "load_run",
            "training.distill": "distill",
            "training.log": "Callback",
            "training.trackers": "log_to",
            "training.train": "train",
            "tuning": "Tuning tune",
        },
    )

    def __getattr__(name: str) -> Any:
        if name == "__version__":
            return metadata.version("dmft")
        if name == "DmftError":
            from pipeline.contract import DmftError

            return DmftError
        return _find(name)


__all__ = [
    "Cache",
    "Callback",
    "DmftError",
    "Fold",
    "Protocol",
    "Recognizer",
    "Run",
    "RunConfig",
    "Tuning",
    "__version__",
    "choose_folds",
    "compare",
    "distill",
    "evaluate",
    "load",
    "load_config",
    "load_protocol",
    "load_run",
    "log_to",
    "make_features",
    "open_cache",
    "read_results",
    "train",
    "tune",
]


def __dir__() -> list[str]:
    return __all__
