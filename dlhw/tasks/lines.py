"""Transcription of pictures of text lines.

Legend: B batch, H height, W width, N lines of a split, T symbols of a text with its end.
"""

import logging
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from dlhw.data.line_augment import LineAugment
from dlhw.data.line_pictures import LineSplit
from dlhw.errors import UserError
from dlhw.specs import LineSpec, wants
from dlhw.tasks.heads.ctc import CTC, steps_needed
from dlhw.tasks.transcribe import Transcription

log = logging.getLogger(__name__)

MOST_GROUPS = 100  # that are measured on their own; more of them are no books


class LineTranscription(Transcription):
    """Reads lines by whatever head the network has; augments them on the device.

    Args:
        augment: knobs of :class:`dlhw.data.line_augment.LineAugment`.
    """

    def __init__(self, net: nn.Module, spec: LineSpec, *, augment: dict[str, Any] | None = None, **options: Any) -> None:
        wants(spec, LineSpec, "this task")
        super().__init__(net, spec, **options)
        self.augment = LineAugment(**(augment or {}))
        self.lines: LineSplit

    def setup(self, stage: str) -> None:
        super().setup(stage)
        data: Any = self.trainer.datamodule  # type: ignore[attr-defined]
        if stage == "fit" and isinstance(self.head, CTC):
            for split, lines in data.splits.items():
                refuse_short_lines(self.net, lines, split, self.spec)
        if stage == "fit" and (groups := len({*data.splits["test"].groups})) > MOST_GROUPS:
            log.warning("%d groups are too many for error rates of each; up to %d have them", groups, MOST_GROUPS)
        self.attach(data)

    def attach(self, data: Any, split: str = "test") -> None:
        """Take the training texts, for a language model, and whose the lines of ``split`` are."""
        self.lines = data.splits[split]
        if isinstance(self.head, CTC):
            self.head.learn(data.splits["train"].targets)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_save_checkpoint(checkpoint)
        if isinstance(self.head, CTC) and self.head.texts is not None:
            checkpoint["texts"] = torch.from_numpy(self.head.texts)  # so that a finished run can be used with a language model

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        super().on_load_checkpoint(checkpoint)
        if isinstance(self.head, CTC) and "texts" in checkpoint:
            self.head.learn(checkpoint["texts"].numpy())

    def parts(self, index: Tensor) -> dict[str, Tensor]:
        groups = np.array(self.lines.groups)
        names = np.unique(groups)
        if not 1 < len(names) <= MOST_GROUPS:
            return {}
        of_sample = groups[index.cpu().numpy()]
        return {str(name): torch.from_numpy(of_sample == name).to(index.device) for name in names}

    def keep_predictions(self, collected: tuple[Tensor, ...]) -> None:
        super().keep_predictions(collected)
        index = collected[-1].cpu().numpy()
        for name, values in (("group", self.lines.groups), ("picture", self.lines.names)):
            if values:
                self.predictions[name] = np.array(values)[index]

    def prepared(self, inputs: Any, index: Tensor, *, train: bool) -> tuple[Tensor, Tensor]:
        """Pictures uint8 (B, H, W), widths (B,) -> ink (B, 1, H, W), 1 where it is black and 0 where there is paper, widths (B,)."""
        pictures, widths = inputs
        ink = (1 - pictures.float() / 255).unsqueeze(1)
        if train:
            ink = self.augment(ink, widths, self.seed, self.epoch, index)
        return ink.to(next(self.net.parameters()).dtype), widths


def refuse_short_lines(net: Any, lines: LineSplit, split: str, spec: LineSpec) -> None:
    """Look for lines on which CTC has fewer steps than their text needs: it can never learn them, and their loss is infinite.

    Raises:
        UserError: there are some in the training split, named; of the other splits, whose lines only cannot be read right, the log tells.
    """
    steps, needed = net.steps(torch.from_numpy(lines.widths)), steps_needed(torch.from_numpy(lines.targets))
    short = (needed > steps).nonzero()[:, 0].tolist()
    if not short:
        return
    named = [lines.names[row] if lines.names else f"row {row}" for row in short[:5]]
    first = short[0]
    message = (
        f"{split}: {len(short)} of {len(steps)} lines are too short for their text under CTC: "
        f"{', '.join(named)}{' ...' * (len(short) > 5)}; "
        f"the first has {int(steps[first])} steps for {int(needed[first])} symbols (with a blank between equal ones)"
    )
    if split == "train":
        raise UserError(
            f"{message}; correct or remove them, or choose a task.data.height above {spec.height} or model.pools that keep more steps"
        )
    log.warning("%s", message)
