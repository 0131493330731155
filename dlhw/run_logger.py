"""TensorBoard's log of one run: where it differs from Lightning's, and how a run's outcome stands in it."""

import json
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch.utils.tensorboard.summary import hparams

HEADLINE = ("acc", "auc")  # shown beside the monitored metric; few, because TensorBoard puts them above the curves
OF_NO_INTEREST = ("._target_", "._partial_")  # endings of settings that the names of task, model and optimizer say in a word


class RunLogger(TensorBoardLogger):
    """Lightning's logger, but for the hyper-parameters.

    Lightning writes with them which columns there are, and TensorBoard takes the columns of the first run that it finds for all runs: the
    knobs of other models would be missing, and those that differ would not come first. Without such a list it looks at all runs.
    Nor is ``hparams.yaml`` written: ``config.yaml`` is the record of the settings.
    """

    @rank_zero_only
    def log_hyperparams(self, params: Any, metrics: dict[str, Any] | None = None, step: int | None = None) -> None:
        """Settings (``{"optim.lr": 0.001}``) and final metrics of a run, for the tab HParams; without metrics nothing is written."""
        if not metrics:
            return
        self.log_metrics(metrics, step)
        _, start, end = hparams({name: _value(value) for name, value in params.items()}, metrics)
        writer = self.experiment._get_file_writer()
        writer.add_summary(start, step)
        writer.add_summary(end, step)

    @rank_zero_only
    def save(self) -> None:
        self.experiment.flush()


def write_outcome(logger: Any, result: dict[str, Any], settings: dict[str, Any]) -> None:
    """Write the settings of a finished run and its metrics at the best epoch (``best/acc/test``), at the step after its last epoch.

    ``result`` is the content of ``result.json``, ``settings`` the flattened configuration.
    """
    monitor = result["monitor"]
    metrics = {f"best/{name}/test": result["test"][name] for name in dict.fromkeys((monitor, *HEADLINE)) if name in result["test"]}
    metrics[f"best/{monitor}/val"] = result["val"][monitor]
    names = {"task": result["task"], "model": result["model"], "optim": settings["optim.optimizer._target_"].rpartition(".")[2]}
    knobs = {name: value for name, value in settings.items() if not name.endswith(OF_NO_INTEREST)}
    logger.log_hyperparams(names | knobs, metrics, result["epochs"])


def _value(value: Any) -> float | str:
    """A setting as TensorBoard takes it: numbers, and all else as it would stand in a YAML file."""
    return value if isinstance(value, int | float | str) and not isinstance(value, bool) else json.dumps(value)
