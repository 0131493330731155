"""Finished transcription runs scored again with other decoders, without training: the runs' own results stay as they are.

python -m dlhw.decode outputs/p2g/attention model.attention=dot task.decode.method=nucleus task.decode.p=0.8 task.decode.k=3
"""

import argparse
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dlhw import command
from dlhw.errors import UserError
from dlhw.results import Run, load_run, load_runs
from dlhw.results.asked import has, parsed
from dlhw.results.ensemble import ensemble_name, write_scores
from dlhw.results.summary import setting_cells, summarize, with_spread
from dlhw.run_folder import DECODED

if TYPE_CHECKING:
    from torch import nn

    from dlhw.data.arrays import ArrayData
    from dlhw.decoding import Decode

Arrays = dict[str, np.ndarray]
PREFIX = "task.decode."


def settings_of(words: Sequence[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """What ``task.decode.KEY=VALUE`` words set, and which runs other ``KEY=VALUE`` words ask for, as texts.

    Raises:
        UserError: no value, or one that cannot be read.
    """
    given, asked = {}, {}
    for word in words:
        key, _, value = word.partition("=")
        if not value:
            raise UserError(f"{word} is not understood: {key}=VALUE is right")
        meant = parsed(key, value)
        if key.startswith(PREFIX):
            given[key.removeprefix(PREFIX)] = meant
        else:
            asked[key] = value
    return given, asked


def combined(run: Run, given: Mapping[str, Any]) -> "Decode":
    """The run's own decoder with the settings that were given.

    Raises:
        UserError: the run transcribes nothing, or a setting does not exist, is of the wrong type, or would do nothing.
    """
    from dlhw.tasks.heads import check_given
    from dlhw.tasks.transcribe import Transcription

    if not isinstance(run.task, Transcription):
        raise UserError(f"{run.folder} is of {type(run.task).__name__}: a run that transcribes is right")
    own = run.task.decode
    known = {field.name: type(getattr(own, field.name)) for field in fields(own)}
    for name, value in given.items():
        if name not in known:
            raise UserError(f"{PREFIX}{name} is not a setting of the decoders, which are {', '.join(known)}")
        if not isinstance(value, known[name]) and not (known[name] is float and type(value) is int):
            raise UserError(f"{PREFIX}{name}={value} is of the wrong type: {known[name].__name__} is right")
    settings = replace(own, **given)
    check_given(run.task.head, settings, given)
    return settings


def data_of(run: Run, data_root: str) -> "ArrayData":
    """The data that a run was trained on, read again.

    Raises:
        UserError: it is not there, or no longer the same.
    """
    from dlhw.training import make

    data: ArrayData = make("task.data", run.config.task.data, seed=run.config.seed, data_root=data_root)
    data.setup()
    if data.checksums != run.result["data"] or data.spec != run.spec:
        raise UserError(f"{run.folder} was trained on other data than what is there now: the same files are right")
    return data


def decoded(
    run: Run, data: "ArrayData", split: str, settings: "Decode", net: "nn.Module"
) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """Metrics and predictions of a split, with the network ``net`` in the place of the run's own."""
    import torch
    from lightning.fabric.utilities import move_data_to_device

    from dlhw.tasks.transcribe import Transcription, joined, rates

    task = run.task
    assert isinstance(task, Transcription)
    task.decode = settings
    task.attach(data, split)
    loader = data.test_dataloader() if split == "test" else data.val_dataloader()[0]
    with torch.no_grad(), arithmetic(run):
        batches = (move_data_to_device(batch, task.device) for batches in loader for batch in batches)
        collected = joined([task.transcribed(batch, net, settings) for batch in batches])
    task.keep_predictions(collected)
    metrics = rates(task.counts(collected), n=collected[1].shape[1]) | task.rates_of_parts(collected)
    return metrics, {
        name: np.asarray(value.cpu() if isinstance(value, torch.Tensor) else value) for name, value in task.predictions.items()
    }


def arithmetic(run: Run) -> AbstractContextManager[Any]:
    """That of the run's own test, where it was of mixed precision."""
    import torch

    mixed = {"16-mixed": torch.float16, "bf16-mixed": torch.bfloat16}.get(run.result["precision"])
    return torch.autocast(run.task.device.type, mixed) if mixed else nullcontext()


def named(settings: "Decode", own: "Decode", split: str, used: frozenset[str]) -> str:
    """The name of a result: the split, the method, and which of the settings that it has used differ from the run's own."""
    changed = [f"{key}-{value}" for key, value in asdict(settings).items() if key in used and value != getattr(own, key)]
    return "_".join([split, settings.method, *changed])


def run_folders(folders: Sequence[str], asked: Mapping[str, str]) -> list[Path]:
    """The finished runs below folders, of those that are asked for: by fields of ``result.json``, as model, and by settings.

    Raises:
        UserError: there is none.
    """
    runs = load_runs(*folders)
    finished = [Path(path) for path in runs[runs["status"] == "finished"]["path"]]
    if not finished:
        raise UserError(f"no run below {', '.join(folders)} is finished")
    if not (found := [folder for folder in finished if has(folder, asked)]):
        words = " ".join(f"{key}={value}" for key, value in asked.items())
        raise UserError(f"no finished run below {', '.join(folders)} has {words}: settings of decoders begin with {PREFIX}")
    return found


def each(folders: Sequence[Path], given: Mapping[str, Any], options: argparse.Namespace) -> Iterator[tuple[Path, dict[str, float]]]:
    """Score every run by itself, write the result into its folder, and give it; wrong settings are refused before the first is scored."""
    from dlhw.tasks.heads import head_of

    data: dict[str, ArrayData] = {}
    runs = [load_run(folder, options.device) for folder in folders]
    for folder, run, settings in [(folder, run, combined(run, given)) for folder, run in zip(folders, runs, strict=True)]:
        own = combined(run, {})
        key = json.dumps(run.result["data"]) + str(run.config.task.data)
        data[key] = data[key] if key in data else data_of(run, options.data_root)
        metrics, predictions = decoded(run, data[key], options.split, settings, run.task.evaluated)
        name = named(settings, own, options.split, head_of(run.task.net).used(settings))
        write_scores(folder / DECODED, name, {"decode": asdict(settings), options.split: metrics}, predictions)
        print(f"{folder} {name}:", shown(metrics), flush=True)
        yield folder, metrics


def together(folders: Sequence[Path], given: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Score all runs as one ensemble; the result goes beside the folders of the runs."""
    from dlhw.models.ensemble import Ensemble
    from dlhw.tasks.heads import head_of

    runs = [load_run(folder, options.device) for folder in folders]
    first = runs[0]
    if others := [str(run.folder) for run in runs if run.spec != first.spec or run.result["data"] != first.result["data"]]:
        raise UserError(f"an ensemble is of runs on the same data; {', '.join(others)} has other data than {first.folder}")
    settings, own = combined(first, given), combined(first, {})
    net = Ensemble([run.task.evaluated for run in runs]).eval()
    metrics, predictions = decoded(first, data_of(first, options.data_root), options.split, settings, net)
    members = [folder.name for folder in folders]
    result = {"ensemble": members, "decode": asdict(settings), options.split: metrics}
    name = named(settings, own, options.split, head_of(first.task.net).used(settings))
    write_scores(folders[0].parent / DECODED, f"{ensemble_name(folders)}_{name}", result, predictions)
    print(f"ensemble of {len(runs)} {name}:", shown(metrics))


def shown(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items() if ":" not in name)


def table(folders: Sequence[Path], scores: dict[Path, dict[str, float]], split: str) -> str:
    """Mean and standard deviation over the seeds of each setting."""
    runs = load_runs(*folders)
    runs = runs[[name for name in runs.columns if not name.startswith(("val/", "test/", "last/"))]]
    measured = pd.DataFrame([{f"{split}/{name}": value for name, value in scores[Path(path)].items()} for path in runs["path"]])
    summary = summarize(runs.join(measured))
    cells = setting_cells(summary)
    for name in [name for name in measured.columns if ":" not in name]:
        cells[name] = [f"{with_spread(row, name)} ({row[f'{name} n']})" for row in summary.to_dict("records")]
    return cells.to_string(index=False)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.decode", description="Score finished runs with other decoders, without training.")
    parser.add_argument(
        "words",
        nargs="+",
        metavar="FOLDER | KEY=VALUE",
        help="runs, or folders above them; task.decode.KEY=VALUE sets the decoder; another KEY=VALUE, as model=crnn_ctc, picks runs",
    )
    parser.add_argument("--split", choices=("val", "test"), default="test")
    parser.add_argument("--ensemble", action="store_true", help="all runs as one: the mean of their probabilities, or a vote with CTC")
    parser.add_argument("--data-root", default=None, help="folder of data sets (default: DLHW_DATA, or data)")
    parser.add_argument("--device", default="auto", help="auto (an accelerator where there is one), cpu, cuda ...")
    options = parser.parse_intermixed_args(arguments)
    given, asked = settings_of([word for word in options.words if "=" in word])
    folders = run_folders([word for word in options.words if "=" not in word], asked)
    options.data_root = options.data_root or os.environ.get("DLHW_DATA", "data")
    if options.ensemble:
        together(folders, given, options)
    else:
        scores = dict(each(folders, given, options))
        if len(scores) > 1:
            print(f"\n{table(folders, scores, options.split)}\n\nmean ± sample standard deviation (number of runs)")
    return 0


if __name__ == "__main__":
    command.run(main)
