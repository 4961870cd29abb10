"""Many trainings from one small file: a grid, its rows, a results file.

Read ``grid.py`` (what a file may say), ``plan.py`` (its rows and their keys), ``pool.py``
(processes), ``task.py`` (what one does), ``runner.py`` (all rows) and ``results.py`` (the file they
end in).
"""

from typing import TYPE_CHECKING

from pipeline.common.lazy import lazily

if TYPE_CHECKING:
    from dmft.experiments.grid import Experiment, Grid, load_experiment, shipped_experiments
    from dmft.experiments.plan import PlannedRow, plan_rows
    from dmft.experiments.results import RESULTS_FILE, Result, load_results, read_results
    from dmft.experiments.runner import Outcome, RunCallback, run_experiment
else:
    __getattr__ = lazily(
        __name__,
        {
            "grid": "Experiment Grid load_experiment shipped_experiments",
            "plan": "PlannedRow plan_rows",
            "results": "RESULTS_FILE Result load_results read_results",
            "runner": "Outcome RunCallback run_experiment",
        },
    )

__all__ = [
    "RESULTS_FILE",
    "Experiment",
    "Grid",
    "Outcome",
    "PlannedRow",
    "Result",
    "RunCallback",
    "load_experiment",
    "load_results",
    "plan_rows",
    "read_results",
    "run_experiment",
    "shipped_experiments",
]
