"""The life of one run: check the settings, find its folder, then train, resume, skip or refuse.

torch is imported only where something is trained, so a finished run is skipped, and a wrong setting refused, within a second or two.
"""

import os
from contextlib import suppress

from omegaconf import DictConfig

from dlhw import run_folder
from dlhw.config import check
from dlhw.errors import Stopped, UserError


def main(cfg: DictConfig) -> str:
    """Bring the run of a composed configuration to its end; returns ``"trained"`` or ``"skipped"``.

    Raises:
        UserError: wrong input, told in one sentence.
        Stopped: a signal; the state is saved.
    """
    check(cfg)
    place = run_folder.locate(cfg)
    if int(os.environ.get("LOCAL_RANK", 0)):  # a further process of a run on several devices; the first one holds the folder
        with suppress(UserError, Stopped):  # the first one tells
            _train(cfg, place, resume=(place.folder / run_folder.LAST).exists())
        return "trained"
    with run_folder.claim(place.folder):
        decision = run_folder.decide(place, cfg)
        if decision == "skip":
            print(f"skipped, already finished: {place.folder}")
            return "skipped"
        return _train(cfg, place, resume=decision == "resume")


def _train(cfg: DictConfig, place: run_folder.Place, resume: bool) -> str:
    from dlhw.training import train

    train(cfg, place.experiment, place.folder, resume)
    return "trained"
