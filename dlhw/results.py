"""What runs have found: a table over many of them (``python -m dlhw.results table FOLDER``), their paired differences
(``python -m dlhw.results compare FOLDER``), or one run with its network, ready to use.

Only :func:`load_run` imports torch.
"""

import argparse
import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from dlhw import command
from dlhw.atomic_file import replacing
from dlhw.compare import compare, first_passing
from dlhw.config import bind, check
from dlhw.errors import UserError
from dlhw.run_files import is_simulated, read_config, read_result
from dlhw.run_folder import BEST, CONFIG, NOT_IDENTITY, RESULT, flatten
from dlhw.specs import spec_from_dict
from dlhw.summary import HEAD, MEASURED, SPLITS, TAIL, cells_with_data, headline, summarize, with_spread

if TYPE_CHECKING:
    from dlhw.tasks.supervised import SupervisedTask

# Settings that no result depends on; how many epochs a run has had is no part of its identity, but tells results apart.
BESIDE = {*NOT_IDENTITY, "seed"} - {"trainer.max_epochs"}


@dataclass(frozen=True)
class Run:
    """A finished run: ``task`` is its Lightning module in eval mode with the weights of the best epoch, ``spec`` what it was trained on."""

    folder: Path
    config: DictConfig
    result: dict[str, Any]
    spec: Any
    task: "SupervisedTask"


def load_runs(*folders: str | Path) -> pd.DataFrame:
    """One row per run found anywhere below ``folders``, sorted by path; a copy of a finished run is left out.

    Columns: path, task, model, experiment, status, seed; the settings that differ among the runs, by their dotted keys; metrics as
    ``val/*`` and ``test/*`` (of the best epoch) and ``last/*`` (validation, last epoch); epochs, params, train_seconds and so on;
    ``simulated``, whether the data was made up.
    A metric that was no finite number is NaN. A run that is not finished has its settings only, and where it has failed the message.

    Raises:
        UserError: no such folder, no run below it, a result.json or config.yaml that cannot be read.
    """
    rows: list[dict[str, Any]] = []
    settings: list[dict[str, Any]] = []
    seen: set[str] = set()
    for folder in _run_folders(folders):
        result = _result(folder)
        content = json.dumps(result, sort_keys=True)
        if result["status"] == "finished" and content in seen:
            continue
        seen.add(content)
        settings.append(read_settings(folder))
        row: dict[str, Any] = {key: result.get(key) for key in (*HEAD, *TAIL)}
        row |= {"path": str(folder), "seed": settings[-1]["seed"], "simulated": is_simulated(result)}
        for split in SPLITS:
            row |= {f"{split}/{name}": math.nan if value is None else value for name, value in result.get(split, {}).items()}
        rows.append(row)
    keys = dict.fromkeys(key for values in settings for key in values if key not in BESIDE)
    differing = [key for key in keys if len({values.get(key) for values in settings}) > 1]
    measured = dict.fromkeys(name for split in SPLITS for row in rows for name in row if name.startswith(f"{split}/"))
    for row, values in zip(rows, settings, strict=True):
        row |= {key: values.get(key) for key in differing}
    return pd.DataFrame(rows, columns=[*HEAD, *differing, *measured, *TAIL])


def _run_folders(folders: Sequence[str | Path]) -> list[Path]:
    found: dict[Path, Path] = {}  # by what they resolve to, so that overlapping folders count once
    for folder in map(Path, folders):
        if not folder.is_dir():
            raise UserError(f"{folder} is no folder; a folder with runs below it is right, such as outputs/digits/cnn_pool")
        found |= {path.parent.resolve(): path.parent for path in folder.rglob(RESULT)}
    if not found:
        raise UserError(f"there is no run (no {RESULT}) below {', '.join(map(str, folders))}")
    return sorted(found.values())


def _result(folder: Path) -> dict[str, Any]:
    result = read_result(folder) or {"status": "running"}  # none: deleted since it was found
    if result["status"] == "finished":
        needed = {"task", "model", "experiment", "seed", "monitor", "spec", *SPLITS, *MEASURED}
        wrong = needed - result.keys() | {split for split in SPLITS if not isinstance(result.get(split), dict)}
        if wrong:
            raise UserError(f"{folder / RESULT} is damaged (it lacks {', '.join(sorted(wrong))}): delete this file and start the run again")
    return result


def read_settings(folder: Path) -> dict[str, Any]:
    """The configuration of a run, flattened to dotted keys; lists and mappings as JSON."""
    settings = flatten(OmegaConf.to_container(read_config(folder)))
    return {key: json.dumps(value) if isinstance(value, list | dict) else value for key, value in settings.items()}


def finished_result(folder: Path) -> dict[str, Any]:
    """The ``result.json`` of a finished run.

    Raises:
        UserError: no run there, or one that is not finished.
    """
    if not (folder / RESULT).is_file():
        raise UserError(f"{folder} is no run: there is no {RESULT} in it; the folder of a finished run is right")
    result = _result(folder)
    if result["status"] != "finished":
        raise UserError(
            f"{folder} is not finished (status {result['status']}): start the same training again, it goes on from where it was"
        )
    return result


def load_run(folder: str | Path, device: str = "cpu") -> Run:
    """Rebuild network and task of a finished run from its folder alone; no data is read.

    Args:
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; ``auto`` takes an accelerator where there is one.

    Raises:
        UserError: no finished run there, a file that is damaged or does not fit the others, a device that is not there.
    """
    folder = Path(folder)
    result = finished_result(folder)
    config = read_config(folder)
    check(config)

    import torch

    from dlhw.checkpoint_file import load_checkpoint
    from dlhw.training import build_task

    bind(config)
    checkpoint = load_checkpoint(folder / BEST)
    spec = spec_from_dict(checkpoint["spec"])
    task = build_task(config, spec)
    try:
        task.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise UserError(f"{folder / BEST} does not fit the network of {CONFIG}: {' '.join(str(error).split())[:300]}") from None
    if device == "auto":
        device = accelerator.type if (accelerator := torch.accelerator.current_accelerator(check_available=True)) else "cpu"
    try:
        task.to(device)
    except (RuntimeError, AssertionError) as error:  # torch built without CUDA answers with an AssertionError
        raise UserError(f"device={device} cannot be used here: {str(error).splitlines()[0]}") from None
    return Run(folder, config, result, spec, task.eval())


def table(folders: Sequence[str], metrics: Sequence[str] | None, csv: Path | None, passes: str | None = None) -> None:
    """Print the runs below ``folders`` as a table, and write it with all metrics as CSV, by default to table.csv in the first folder.

    ``passes``, such as ``val/spearman=0.6``, adds the number of epochs until a metric first reached a value.
    """
    runs = load_runs(*folders)
    unfinished = runs[runs["status"] != "finished"]["path"]
    if len(unfinished) == len(runs):
        raise UserError(f"no run below {', '.join(folders)} is finished; unfinished: {', '.join(unfinished)}")
    passing = []
    if passes:
        metric, _, value = passes.partition("=")
        if not metric.startswith("val/") or not _is_number(value):
            raise UserError(f"--passes={passes}: a metric of the validation split and a value are right, such as val/spearman=0.6")
        passing = [f"val/epochs to {metric.removeprefix('val/')}={value}"]
        runs[passing[0]] = first_passing(runs, metric, float(value))
    summary = summarize(runs)
    measured = [name.removesuffix(" n") for name in summary.columns.tolist() if name.endswith(" n")]
    names = headline(summary) if metrics is None else [name if "/" in name else f"test/{name}" for name in metrics]
    if unknown := [name for name in names if name not in measured]:
        raise UserError(
            f"--metrics: {', '.join(unknown)} was not measured; there are {', '.join(name for name in measured if '/' in name)}"
        )
    cells = cells_with_data(summary)
    for name in [*names, *passing]:
        cells[name] = [f"{with_spread(row, name)} ({row[f'{name} n']})" for row in summary.to_dict("records")]
    print(cells.to_string(index=False))
    print("\nmean ± sample standard deviation (number of runs); test and val at the best epoch")
    for run in runs[runs["status"] != "finished"].to_dict("records"):
        print(f"failed: {run['path']}: {run['message']}" if run["status"] == "failed" else f"unfinished: {run['path']}")
    csv = csv or Path(folders[0]) / "table.csv"
    with replacing(csv) as temporary:
        summary.to_csv(temporary, index=False)
    print(f"written: {csv}")


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.results", description="Results of runs.")
    commands = parser.add_subparsers(dest="command", required=True)
    tabulate = commands.add_parser("table", help="print the runs below folders as a table, and write it as CSV")
    tabulate.add_argument("folders", nargs="+", metavar="FOLDER")
    tabulate.add_argument("--metrics", type=lambda text: text.split(","), help="such as acc,auc,val/acc,last/loss; without a split: test")
    tabulate.add_argument("--csv", type=Path, help="where to write all metrics (default: table.csv in the first folder)")
    tabulate.add_argument("--passes", metavar="METRIC=VALUE", help="a column: epochs until val/METRIC first reached VALUE")
    pair = commands.add_parser("compare", help="print paired differences of settings, and a metric part by part (proteins, books)")
    pair.add_argument("folders", nargs="+", metavar="FOLDER")
    pair.add_argument("--metric", help="of the test split (default: what picked the best epoch)")
    pair.add_argument("--without", type=lambda text: text.split(","), default=[], help="parts to leave out, such as RBP35,RBP01")
    pair.add_argument("--against", help="compare with this setting: a part of its name (default: the best)")
    pair.add_argument("--csv", type=Path, help="where to write the table of parts")
    check = commands.add_parser("verify", help="compute a run's metrics again from its predictions, then train it again and compare")
    check.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    check.add_argument("--predictions-only", action="store_true", help="do not train it again")
    check.add_argument("--data-root", default=os.environ.get("DLHW_DATA", "data"), help="folder of data sets (default: DLHW_DATA, or data)")
    options = parser.parse_args(arguments)
    if options.command == "verify":
        from dlhw.verify import verify

        return 0 if verify(options.folder, options.data_root, train_again=not options.predictions_only) else 1
    if options.command == "table":
        table(options.folders, options.metrics, options.csv, options.passes)
    else:
        compare(load_runs(*options.folders), options.metric, options.without, options.against, options.csv)
    return 0


if __name__ == "__main__":
    command.run(main)
