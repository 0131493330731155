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
from dlhw.decoding.ngram import NGram
from dlhw.errors import UserError
from dlhw.specs import FIRST, LineSpec, wants
from dlhw.tasks.heads.ctc import CTC, SHIFT, steps_needed
from dlhw.tasks.transcribe import Transcription

log = logging.getLogger(__name__)


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
        self.attach(data)

    def attach(self, data: Any, split: str = "test") -> None:
        """Learn the language of the training texts, where ``task.decode.lm_weight`` asks for it; note whose the lines of ``split`` are."""
        self.lines = data.splits[split]
        if isinstance(self.head, CTC):
            self.head.language = None
            if self.decode.lm_weight or self.decode.symbol_bonus:
                targets = data.splits["train"].targets.tolist()
                texts = [[symbol - SHIFT for symbol in row if symbol >= FIRST] for row in targets]
                self.head.language = NGram(texts, self.spec.outputs - SHIFT, self.decode.lm_order)

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
