"""Transcription: loss and error rates of a split, against what is computed by hand from the same network."""

import dataclasses
import math
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from harness import composed
from rapidfuzz.distance import Levenshtein
from scipy.special import log_softmax

from dlhw.data.arrays import ArrayData, Split
from dlhw.data.vocab import Vocab
from dlhw.decoding import Decode
from dlhw.errors import Diverged, UserError
from dlhw.specs import BOS, EOS, FIRST, PAD, ImageSpec, TextSpec
from dlhw.tasks.heads.ctc import CTC
from dlhw.tasks.transcribe import Transcription, joined, rates
from dlhw.trainer import SILENCED
from dlhw.training import build_task

pytestmark = pytest.mark.filterwarnings(*(f"ignore:{remark}" for remark in SILENCED))

SMALL = ("task=p2g", "model=seq2seq", "model.hidden=16", "optim.lr=1e-30")


class Drawn(ArrayData):
    """Random words; two letters of the test split are in no training word."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"batch_size": 16, "eval_batch_size": 10, **options})
        rng = np.random.default_rng(0)
        phones, letters = Vocab("xyz"), Vocab("abcd")
        self.texts, self.splits = {}, {}
        for name, n in (("train", 40), ("val", 17), ("test", 23)):
            sources = ["".join(rng.choice(list("xyz"), rng.integers(1, 7))) for _ in range(n)]
            self.texts[name] = ["".join(rng.choice(list("abcd"), rng.integers(1, 9))) for _ in range(n)]
            if name == "test":
                self.texts[name][3] = "abé"
            self.splits[name] = Split(phones.array(sources, end=False), letters.array(self.texts[name]))
        self.spec = TextSpec(phones.symbols, letters.symbols, 6, 8)


def built(data: Drawn, *words: str) -> Transcription:
    torch.manual_seed(0)
    task = build_task(composed(*SMALL, *words), data.spec)
    assert isinstance(task, Transcription)
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter *= 3  # far from uniform, so that words differ
    return task


def trainer() -> L.Trainer:
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    return L.Trainer(max_epochs=1, accelerator="cpu", num_sanity_val_steps=0, **quiet)


def scored(task: Transcription, data: Drawn) -> dict[str, float]:
    worker = trainer()
    worker.test(task, data, verbose=False)
    return {name.removeprefix("test/"): float(value) for name, value in worker.callback_metrics.items()}


def losses_by_hand(task: Transcription, split: Split, smoothing: float = 0.0) -> tuple[float, int]:
    """Word by word, symbol by symbol: the sum of the losses and the number of symbols."""
    total, symbols = 0.0, 0
    for source, target in zip(split.inputs, split.targets, strict=True):
        row = target[: list(target).index(EOS) + 1].astype(int)
        previous = torch.tensor([[BOS, *row[:-1]]])
        with torch.no_grad():
            log_p = log_softmax(task.net.eval()(torch.from_numpy(source[None]), previous)[0].double().numpy(), axis=1)
        for place, symbol in enumerate(row):
            total -= (1 - smoothing) * log_p[place, symbol] + smoothing * log_p[place, [EOS, *range(FIRST, len(log_p[place]))]].mean()
        symbols += len(row)
    return total, symbols


def test_loss_and_rates_by_hand() -> None:
    data = Drawn()
    task = built(data)
    found = scored(task, data)
    total, symbols = losses_by_hand(task, data.splits["test"])
    assert found["loss"] == pytest.approx(total / symbols, rel=1e-5)
    answers = task.predictions["hypothesis"][:, 0].tolist()
    truth = [text.replace("é", "\ufffd") for text in data.texts["test"]]
    assert task.predictions["reference"].tolist() == truth  # in the order of the split, and the unseen letter is there
    assert len({*answers}) > 5
    edits = [Levenshtein.distance(t, a) for t, a in zip(data.texts["test"], answers, strict=True)]
    assert found["cer"] == pytest.approx(sum(edits) / sum(map(len, data.texts["test"])))
    assert found["wer"] == pytest.approx(np.mean([e > 0 for e in edits]))
    assert found.keys() == {"loss", "cer", "wer"}


@pytest.mark.parametrize("size", [1, 7, 100])
def test_the_batch_size_changes_nothing(size: int) -> None:
    words = ("task.decode.method=nucleus", "task.decode.k=2", "task.decode.p=0.95")
    whole, data = built(Drawn(), *words), Drawn(eval_batch_size=size)
    parts = built(Drawn(), *words)
    assert scored(parts, data) == pytest.approx(scored(whole, Drawn(eval_batch_size=23)), rel=1e-5)
    assert parts.predictions["hypothesis"].tolist() == whole.predictions["hypothesis"].tolist()
    assert parts.predictions["index"].tolist() == list(range(23))


def test_best_of_k() -> None:
    data = Drawn()
    task = built(data, "task.decode.method=nucleus", "task.decode.k=5", "task.decode.p=1.0")
    found = scored(task, data)
    drawn = task.predictions["hypothesis"]
    assert drawn.shape == (23, 5)
    right = drawn == np.array(data.texts["test"])[:, None]
    assert found["wer@5"] == pytest.approx(1 - right.any(axis=1).mean())
    assert found["wer"] == pytest.approx(1 - right[:, 0].mean())


def test_the_validation_has_a_method_of_its_own() -> None:
    data = Drawn()
    assert built(data, "task.decode.method=beam").measured == ("loss", "cer", "wer")
    assert built(data, "task.decode.method=beam", "task.decode.validation=beam", "task.decode.k=2").measured[-1] == "wer@2"
    assert built(data, "task.decode.method=beam", "task.decode.validation=beam", "task.decode.k=1").measured[-1] == "wer"
    assert built(data, "task.decode.method=beam").notes == {"decoders": {"val": "greedy", "test": "beam"}}
    for method, names in (("greedy", {"loss", "cer", "wer"}), ("nucleus", {"loss", "cer", "wer", "wer@3"})):
        worker = trainer()
        worker.fit(built(data, "task.decode.method=beam", f"task.decode.validation={method}"), data)
        assert {name for name in worker.callback_metrics if name.startswith("val/")} == {f"val/{name}" for name in names}


def test_training_loss_by_hand_with_label_smoothing() -> None:
    data = Drawn(batch_size=40)
    task = built(data, "task.module.label_smoothing=0.2", "model.dropout=0.0")
    worker = trainer()
    worker.fit(task, data)
    total, symbols = losses_by_hand(task, data.splits["train"], 0.2)
    assert float(worker.callback_metrics["train/loss"]) == pytest.approx(total / symbols, rel=1e-5)
    total, symbols = losses_by_hand(task, data.splits["val"])  # an evaluation is not smoothed
    assert float(worker.callback_metrics["val/loss"]) == pytest.approx(total / symbols, rel=1e-5)


def test_texts_that_the_decoder_would_cut_are_told(caplog: pytest.LogCaptureFixture) -> None:
    data = Drawn()
    longest = max(map(len, data.texts["train"])) + 1
    cut = sum(len(text) >= longest - 1 for text in data.texts["train"])
    for limit, told in ((longest, False), (longest - 1, True)):
        caplog.clear()
        with caplog.at_level("WARNING", "dlhw"):
            trainer().fit(built(data, f"task.decode.max_symbols={limit}"), data)
        expected = f"train: {cut} of 40 texts are longer than task.decode.max_symbols={limit}, at which the decoder stops; the longest has "
        assert (f"{expected}{longest} symbols" in caplog.text) == told


def test_settings_that_would_do_nothing_are_refused_before_the_first_epoch() -> None:
    data = Drawn()
    with pytest.raises(UserError, match=r"task\.decode\.lm_weight=0\.5 would do nothing"):
        built(data, "task.decode.lm_weight=0.5").refuse_settings()


@pytest.mark.parametrize("model", ["seq2seq", "p2g_best"])
def test_an_evaluation_encodes_each_batch_once(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = Drawn()
    task = built(data, f"model={model}", "optim.ema=null")
    calls = []
    encode = task.net.encode  # type: ignore[operator]
    monkeypatch.setattr(task.net, "encode", lambda inputs: (calls.append(len(inputs)), encode(inputs))[1])
    found = scored(task, data)
    assert calls == [10, 10, 3]
    total, symbols = losses_by_hand(task, data.splits["test"])
    assert found["loss"] == pytest.approx(total / symbols, rel=1e-5)


def test_counts_of_parts_of_a_split_add_up() -> None:
    """As over several devices, each with its part."""
    data = Drawn()
    task = built(data).eval()
    batches = [batch for batches in data.test_dataloader() for batch in batches]
    outputs = [task.transcribed(batch, task.net, Decode("beam", width=4)) for batch in batches]
    parts = torch.stack([task.counts(output) for output in outputs])
    torch.testing.assert_close(parts.sum(dim=0), task.counts(joined(outputs)))
    assert rates(parts.sum(dim=0), n=3).keys() == {"loss", "cer", "wer", "wer@3"}


def test_under_ctc_texts_with_an_infinite_loss_count_in_the_error_rates_alone() -> None:
    data = Drawn()
    task = built(data).eval()
    [batch] = [batch for batches in Drawn(eval_batch_size=23).test_dataloader() for batch in batches]
    targets, ids, scores, losses, index = task.transcribed(batch, task.net, Decode())
    whole = rates(task.counts((targets, ids, scores, losses, index)), 1)
    rest = rates(task.counts(tuple(column[1:] for column in (targets, ids, scores, losses, index))), 1)
    losses[0] = torch.inf
    found = rates(task.counts((targets, ids, scores, losses, index)), 1)
    assert found["loss"] == torch.inf and found["cer"] == whole["cer"]  # a decoder that writes symbol by symbol has no such text
    task.head = CTC()
    found = rates(task.counts((targets, ids, scores, losses, index)), 1)
    assert found["loss"] == pytest.approx(rest["loss"]) and found["cer"] == whole["cer"]
    assert rates(task.counts((targets, ids, scores, losses + torch.inf, index)), 1)["loss"] == torch.inf
    losses[1] = torch.nan
    assert math.isnan(rates(task.counts((targets, ids, scores, losses, index)), 1)["loss"])


@pytest.mark.parametrize("wrong", [math.inf, math.nan])
def test_one_loss_that_is_no_finite_number_ends_the_training(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    task, calls = built(Drawn()), []
    losses = task.head.losses

    def wrong_in_the_second_batch(*arguments: Any) -> torch.Tensor:
        calls.append(1)
        found = losses(*arguments)
        return found + torch.zeros_like(found).index_fill(0, torch.tensor([3]), wrong) if len(calls) == 2 else found

    monkeypatch.setattr(task.head, "losses", wrong_in_the_second_batch)
    with pytest.raises(Diverged, match=f"the loss is {wrong} in epoch 1, step 2: a lower optim.lr"):
        trainer().fit(task, Drawn())


def test_texts_that_do_not_exist_are_no_candidates() -> None:
    task = built(Drawn())
    ids = torch.tensor([[[4, EOS], [5, EOS], [PAD, PAD]]])
    assert task.candidates(ids, torch.tensor([[-1.0, -2.0, -torch.inf]])) == [["a", "b"]]
    assert task.candidates(ids, torch.tensor([[-torch.inf, -torch.inf, -torch.inf]])) == [["a"]]  # at least one


def test_both_sides_are_normalized() -> None:
    data = Drawn()
    data.spec = dataclasses.replace(data.spec, target=("e", "\u0301", "c", "d"))
    assert built(data).texts(torch.tensor([[4, 5, EOS]])) == ["é"]


def test_empty_references_are_told(caplog: pytest.LogCaptureFixture) -> None:
    data = Drawn()
    data.splits["test"].targets[0] = [EOS] + [PAD] * (data.splits["test"].targets.shape[1] - 1)
    scored(built(data), data)
    assert "1 references are empty; what is written in their place counts as edits" in caplog.text


def test_what_does_not_fit_is_refused() -> None:
    spec = ImageSpec(1, 8, 8, ("a", "b"), "multi-class", (0.5,), (0.5,))
    with pytest.raises(UserError, match=r"CNN gives no text \(it has no head\)"):
        build_task(composed("task=p2g", "model=cnn_pool"), spec)
    with pytest.raises(UserError, match=r"task\.module\.label_smoothing=1\.0 is out of range"):
        built(Drawn(), "task.module.label_smoothing=1.0")
    with pytest.raises(UserError, match=r"task\.monitor=acc is not measured: one of loss, cer, wer is"):
        built(Drawn(), "task.monitor=acc")
