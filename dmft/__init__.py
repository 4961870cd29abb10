"""The light trainer: one feature cache in, trained recognisers and their figures out.

What a notebook needs is here by one import, and nothing heavy is loaded before it is used::

    import dmft

    cache = dmft.open_cache("raw.zarr")
    config = dmft.load_config("default", ["training.epochs=20"])
    dmft.train(cache, "utd-loso", "teacher", config=config, fold="all")
    dmft.distill(cache, ["teacher"], "student")
    figures = dmft.evaluate("student")
    run = dmft.load_run("student/subject-1")
"""

from importlib import metadata
from typing import TYPE_CHECKING, Any

from pipeline.common.lazy import lazily

if TYPE_CHECKING:
    from dmft.config import load_config
    from dmft.data.cache import open_cache
    from dmft.evaluation.evaluate import evaluate
    from dmft.experiments.results import read_results
    from dmft.protocols import choose_folds, load_protocol
    from dmft.runs.trained import load_run
    from dmft.training.distill import distill
    from dmft.training.train import train

    __version__: str
else:
    _find = lazily(
        __name__,
        {
            "config": "load_config",
            "data.cache": "open_cache",
            "evaluation.evaluate": "evaluate",
            "experiments.results": "read_results",
            "protocols": "choose_folds load_protocol",
            "runs.trained": "load_run",
            "training.distill": "distill",
            "training.train": "train",
        },
    )

    def __getattr__(name: str) -> Any:
        return metadata.version("dmft") if name == "__version__" else _find(name)


__all__ = [
    "__version__",
    "choose_folds",
    "distill",
    "evaluate",
    "load_config",
    "load_protocol",
    "load_run",
    "open_cache",
    "read_results",
    "train",
]


def __dir__() -> list[str]:
    return __all__
