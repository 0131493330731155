"""Reading of text lines against the code that people write: training with padded batches, and a prefix beam of Python dictionaries.

Lines are random, with widths like those of printed books at the height of ``task=ocr``; the speed does not depend on what is on them.
"""

import math
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from benchmarks.clock import Clock, composed, rate_in_trainer
from benchmarks.turns import Variant, rates, row
from dlhw.data.line_pictures import LineSplit
from dlhw.data.lines import LineArrays
from dlhw.data.vocab import Vocab
from dlhw.decoding.ctc import prefix_beam
from dlhw.hardware import prepare
from dlhw.specs import LineSpec
from dlhw.training import build_task

LINES, LETTERS = 256, 80
HEIGHT, BATCH = 40, 8
BEAM_STEPS, WIDTH = 128, 10  # the target's line
TARGETS = {"training": "9.2 lines/s: 735 lines, 30 epochs, 40 minutes", "beam": "60 ms"}


class RandomLines(LineArrays):
    """Random lines of 190 to 1,170 columns, a letter every 13 columns."""

    def read(self) -> None:
        random = np.random.default_rng(0)
        vocab = Vocab([chr(ord("A") + k) for k in range(LETTERS)])
        widths = random.integers(190, 1170, LINES)
        texts = [[vocab.symbols[k] for k in random.integers(0, LETTERS, width // 13)] for width in widths]
        columns = [random.integers(0, 256, (int(width), self.height), dtype=np.uint8) for width in widths]
        split = LineSplit.of(columns, vocab.array(texts))
        self.splits = dict.fromkeys(("train", "val", "test"), split)
        self.spec = LineSpec(self.height, vocab.symbols, max(map(len, texts)))
        self.checksums = {}


def data(**options: Any) -> RandomLines:
    lines = RandomLines(height=HEIGHT, batch_size=BATCH, eval_batch_size=BATCH, **options)
    lines.setup()
    return lines


def ours(precision: str, seconds: float) -> float:
    """``task=ocr model=crnn_ctc`` with the recipe's augmentations: lines per second."""
    prepare()
    cfg = composed("task=ocr", "model=crnn_ctc", "task.data.path=unused")
    lines = data(steps_per_call=cfg.trainer.steps_per_call)
    return rate_in_trainer(build_task(cfg, lines.spec), lines, precision, seconds)


class PlainCRNN(nn.Module):
    """The same layers as commonly written: the LSTM runs over the padding."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, pool in ((1, 16, (2, 2)), (16, 32, (2, 2)), (32, 64, (2, 1)), (64, 128, (2, 1))):
            layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(pool)]
        self.features = nn.Sequential(*layers)
        self.lstm = nn.LSTM(128 * (HEIGHT // 16), 192, 2, bidirectional=True, batch_first=True, dropout=0.3)
        self.classifier = nn.Linear(384, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x).permute(0, 3, 1, 2).flatten(2)
        return self.classifier(self.lstm(x)[0]).log_softmax(dim=2)


def plain(seconds: float) -> float:
    """A DataLoader over PNG files in random order, padded to the widest of each batch, without any augmentation: lines per second."""
    lines = data()
    split = lines.splits["train"]
    samples = []
    for number in range(LINES):
        file = BytesIO()
        Image.fromarray(split.picture(number).copy()).save(file, "PNG")
        ids = split.targets[number]
        samples.append((file.getvalue(), torch.from_numpy(ids[ids >= 4].astype(np.int64) - 3)))

    def collate(batch: list[tuple[bytes, Tensor]]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        pictures = [torch.from_numpy(np.asarray(Image.open(BytesIO(file)), np.float32) / 255) for file, _ in batch]
        widths = torch.tensor([picture.shape[1] for picture in pictures])
        padded = torch.stack([nn.functional.pad(picture, (0, int(widths.max()) - picture.shape[1]), value=1.0) for picture in pictures])
        return padded[:, None], widths, torch.cat([text for _, text in batch]), torch.tensor([len(text) for _, text in batch])

    net, criterion = PlainCRNN(LETTERS + 1), nn.CTCLoss(zero_infinity=True)
    optimizer, clock = torch.optim.Adam(net.parameters(), lr=1e-3), Clock(seconds)
    while True:
        for pictures, widths, texts, lengths in DataLoader(samples, batch_size=BATCH, shuffle=True, collate_fn=collate):  # type: ignore[arg-type]
            optimizer.zero_grad()
            loss = criterion(net(pictures).transpose(0, 1), texts, widths // 4, lengths)
            loss.backward()
            optimizer.step()
            loss.item()
            if clock.tick(len(pictures)):
                return clock.rate


def naive_beam(log_probs: NDArray[np.floating], width: int) -> tuple[int, ...]:
    """The prefix beam search of one line (S, K) as it is found in tutorials."""
    beam: dict[tuple[int, ...], tuple[float, float]] = {(): (0.0, -math.inf)}
    for frame in log_probs.tolist():
        grown: dict[tuple[int, ...], list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        for text, (blank, symbol) in beam.items():
            for c, p in enumerate(frame):
                if c == 0:
                    grown[text][0] = _plus(grown[text][0], _plus(blank, symbol) + p)
                elif text and text[-1] == c:
                    grown[text][1] = _plus(grown[text][1], symbol + p)
                    grown[(*text, c)][1] = _plus(grown[(*text, c)][1], blank + p)
                else:
                    grown[(*text, c)][1] = _plus(grown[(*text, c)][1], _plus(blank, symbol) + p)
        ranked = sorted(grown.items(), key=lambda item: -_plus(*item[1]))[:width]
        beam = {text: (both[0], both[1]) for text, both in ranked}
    return next(iter(beam))


def _plus(a: float, b: float) -> float:
    high, low = (a, b) if a > b else (b, a)
    return high if low == -math.inf else high + math.log1p(math.exp(low - high))


def training(rounds: int, seconds: float, auto: str) -> dict[str, object]:
    """Lines per second of training, turn by turn; ``auto`` is what ``trainer.precision=auto`` picks here."""
    found = rates([Variant("ocr", "ours", (auto,), ours=True), Variant("ocr", "plain", ())], rounds, seconds)
    return row(f"crnn_ctc: training, lines/s (ours in {auto} / padded batches)", found, TARGETS["training"])


def decoding(rounds: int) -> list[dict[str, object]]:
    """Milliseconds a line of a beam of 10 over 128 steps and 80 classes, for one line and for 16 at once."""
    rows = []
    for lines in (1, 16):
        log_probs = (3 * torch.randn(lines, BEAM_STEPS, LETTERS, generator=torch.Generator().manual_seed(0))).log_softmax(dim=2)
        lengths, as_arrays = torch.full((lines,), BEAM_STEPS), log_probs.double().numpy()
        first, second = partial(prefix_beam, log_probs, lengths, WIDTH, 1), partial(naive_beam, as_arrays[0], WIDTH)
        decoders: list[tuple[Callable[[], Any], int]] = [(first, lines), (second, 1)]
        times: list[list[float]] = [[], []]
        for turn in range(-1, rounds):
            for which, (decode, count) in enumerate(decoders):
                begin = time.perf_counter()
                decode()
                if turn >= 0:
                    times[which].append((time.perf_counter() - begin) / count * 1000)
        rows.append(row(f"prefix beam, ms a line, {lines} at once (ours / dictionaries)", times, TARGETS["beam"], -1))
    return rows


def measure(rounds: int, seconds: float, auto: str) -> list[dict[str, object]]:
    """All rows."""
    return [training(rounds, seconds, auto), *decoding(rounds)]
