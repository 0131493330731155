"""The life of one run: check the settings, find its folder, then train, resume, skip or refuse.

torch is imported only where something is trained, so a finished run is skipped, and a wrong setting refused, within a second or two.
"""

import os
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf

from dlhw import run_folder
from dlhw.composition_errors import near
from dlhw.config import check, targets
from dlhw.errors import Stopped, UserError
from dlhw.run_files import read_config, read_metrics, read_result

Decision = Literal["train", "resume", "skip"]


def main(cfg: DictConfig) -> str:
    """Bring the run of a composed configuration to its end; returns ``"trained"`` or ``"skipped"``.

    Raises:
        UserError: wrong input, told in one sentence.
        Stopped: a signal; the state is saved.
    """
    check(cfg)
    place = run_folder.locate(cfg)
    refuse_unknown(cfg, place.defaults)
    if int(os.environ.get("LOCAL_RANK", 0)):  # a further process of a run on several devices; the first one holds the folder
        with suppress(UserError, Stopped):  # the first one tells
            _train(cfg, place, resume=(place.folder / run_folder.LAST).exists())
        return "trained"
    with run_folder.claim(place.folder):
        decision = decide(place, cfg)
        if decision == "skip":
            print(f"skipped, already finished: {place.folder} (its data was not looked at again)")
            return "skipped"
        return _train(cfg, place, resume=decision == "resume")


def _train(cfg: DictConfig, place: run_folder.Place, resume: bool) -> str:
    from dlhw.training import train

    train(cfg, place.experiment, place.folder, resume)
    return "trained"


def refuse_unknown(cfg: DictConfig, defaults: Collection[str]) -> None:
    """Refuse settings that were added by ``+KEY=VALUE`` where nothing reads them; what a ``_target_`` takes is checked when it is bound.

    Raises:
        UserError: naming the key, and those that are spelt most like it.
    """
    read = [key for key, _ in targets(OmegaConf.to_container(cfg))]
    for key in sorted(run_folder.identity(cfg).keys() - {*defaults}):
        if not any(key.startswith(f"{node}.") for node in read):
            raise UserError(f"nothing reads {key}{near(key, defaults)}")


def decide(place: run_folder.Place, cfg: DictConfig) -> Decision:
    """What to do in a folder: train afresh, go on, or skip a finished run.

    Raises:
        UserError: the folder holds a run with other settings, one that has trained longer than is asked for, or damaged files.
    """
    folder = place.folder
    if not (folder / run_folder.CONFIG).exists():
        return "train"
    old = read_config(folder)
    were, are = run_folder.identity(old), run_folder.identity(cfg)
    were |= {key: value for key, value in place.defaults.items() if key in are and key not in were}  # knobs that came after the run
    _refuse_other_settings(folder, were, are)
    asked, before = cfg.trainer.max_epochs, old.trainer.max_epochs
    finished = (read_result(folder) or {}).get("status") == "finished"
    if finished and asked == before:
        return "skip"
    if asked != before and (cfg.optim.schedule != "constant" or cfg.optim.warmup):
        raise UserError(
            f"{folder} was started with trainer.max_epochs={before}; optim.schedule={cfg.optim.schedule} and optim.warmup are drawn over "
            f"the whole training, so {asked} epochs would be another run: set output_root=FOLDER to start it elsewhere"
        )
    if not (folder / run_folder.LAST).exists():
        if finished:
            raise UserError(
                f"{folder} is finished, but {run_folder.LAST} is gone, so it cannot go on: set output_root=FOLDER to train anew"
            )
        return "train"
    if asked < before and asked < (behind := len(read_metrics(folder / run_folder.METRICS))):
        raise UserError(f"{folder} has {behind} epochs behind, now trainer.max_epochs={asked} is asked for: ask for {behind} or more")
    return "resume"


def _refuse_other_settings(folder: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    nothing = "(not there)"
    differing = [key for key in sorted(old.keys() | new.keys()) if old.get(key, nothing) != new.get(key, nothing)]
    if differing:
        values = "; ".join(f"{key} was {old.get(key, nothing)}, now {new.get(key, nothing)}" for key in differing[:5])
        raise UserError(f"{folder} holds a run with other settings: {values}. Move it away or set output_root=FOLDER")
