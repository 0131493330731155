"""Classification: loss, normalization, evaluation and test-time augmentation, against what is computed by hand from the same network."""

from types import SimpleNamespace
from typing import Any

import lightning as L
import numpy as np
import pytest
import torch
from harness import composed
from lightning.pytorch.callbacks import LambdaCallback
from medmnist.evaluator import getACC, getAUC
from scipy.special import expit, log_softmax
from torch import Tensor, nn

from dlhw.data.arrays import ArrayData, Split
from dlhw.data.image_arrays import image_spec
from dlhw.errors import UserError
from dlhw.specs import ImageSpec
from dlhw.tasks.classify import Classification
from dlhw.trainer import SILENCED
from dlhw.training import build_task

pytestmark = pytest.mark.filterwarnings(*(f"ignore:{remark}" for remark in SILENCED))

SMALL = ("task=digits", "model=cnn_pool", "model.channels=[8]", "model.hidden=[16]", "optim.lr=0.01")
STILL = "optim.lr=1e-30"  # Adam then leaves every weight as it is
LABELS = ("multi-class", "multi-label")


class Drawn(ArrayData):
    """Random pictures of 8x8 in 4 classes, or with 4 labels."""

    def __init__(self, labels: str = "multi-class", normalize: str = "half", **options: Any) -> None:
        super().__init__(**{"batch_size": 16, "eval_batch_size": 10, **options})
        rng = np.random.default_rng(0)
        self.splits = {}
        for name, n in (("train", 40), ("val", 17), ("test", 23)):
            pictures = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8) // np.array([1, 2, 3], np.uint8)
            several = rng.integers(0, 2, (n, 4)).astype(np.float32)
            self.splits[name] = Split(pictures, several if labels == "multi-label" else rng.integers(0, 4, n))
        self.spec = image_spec(self.splits, list("abcd"), labels, normalize, "drawn")


def built(data: Drawn, *words: str) -> Classification:
    torch.manual_seed(0)
    return build_task(composed(*SMALL, *words), data.spec)


def trainer(precision: Any = "32-true", *callbacks: L.Callback) -> L.Trainer:
    return L.Trainer(
        max_epochs=1,
        accelerator="cpu",
        precision=precision,
        callbacks=[*callbacks],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


def fitted(task: Classification, data: Drawn, precision: str = "32-true", *callbacks: L.Callback) -> dict[str, float]:
    """Train for one epoch, test, and return all metrics."""
    worker = trainer(precision, *callbacks)
    worker.fit(task, data)
    metrics = {name: float(value) for name, value in worker.callback_metrics.items()}
    worker.test(task, data, verbose=False)
    return metrics | {name: float(value) for name, value in worker.callback_metrics.items()}


def logits_of(net: nn.Module, pictures: np.ndarray, spec: ImageSpec) -> np.ndarray:
    """By hand, in the order of the pictures."""
    x = (pictures / 255.0 - np.array(spec.mean)) / np.array(spec.std)
    with torch.no_grad():
        return net.eval()(torch.from_numpy(x.transpose(0, 3, 1, 2)).float()).double().numpy()


def loss_by_hand(logits: np.ndarray, targets: np.ndarray, smoothing: float = 0.0) -> float:
    if targets.ndim == 2:
        wanted = targets * (1 - smoothing) + smoothing * 0.5
        return float(-(wanted * np.log(expit(logits)) + (1 - wanted) * np.log(expit(-logits))).mean())
    wanted = np.eye(logits.shape[1])[targets] * (1 - smoothing) + smoothing / logits.shape[1]
    return float(-(wanted * log_softmax(logits, axis=1)).sum(axis=1).mean())


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_losses_and_accuracies_of_a_network_that_stays_as_it_is(labels, smoothing):
    data = Drawn(labels, steps_per_call=2)
    task = built(data, STILL, f"task.module.label_smoothing={smoothing}")
    got = fitted(task, data)
    for name, split in data.splits.items():
        logits = logits_of(task.net, split.inputs, data.spec)
        smoothed = smoothing if name == "train" else 0.0  # only what is trained on
        assert got[f"{name}/loss"] == pytest.approx(loss_by_hand(logits, split.targets, smoothed), rel=1e-5)
        right = (logits > 0) == (split.targets > 0.5) if labels == "multi-label" else logits.argmax(axis=1) == split.targets
        assert got[f"{name}/acc"] == pytest.approx(right.mean(), abs=1e-6)


def test_a_second_softmax_is_in_the_loss_but_not_in_the_predictions():
    data = Drawn()
    task = built(data, STILL, "model.softmax=output")
    got = fitted(task, data)
    probabilities = logits_of(task.net, data.splits["test"].inputs, data.spec)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(task.predictions["probabilities"], probabilities, rtol=1e-5)
    assert got["test/loss"] == pytest.approx(loss_by_hand(probabilities, data.splits["test"].targets), rel=1e-5)


@pytest.mark.parametrize("normalize", ["half", "train", "none"])
def test_normalization(normalize):
    data = Drawn(normalize=normalize)
    pictures = data.splits["train"].inputs
    x = built(data).normalized(torch.from_numpy(pictures))
    assert x.shape == (40, 3, 8, 8) and x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)
    if normalize == "train":
        torch.testing.assert_close(x.mean(dim=(0, 2, 3)), torch.zeros(3), rtol=0, atol=1e-6)
        torch.testing.assert_close(x.std(dim=(0, 2, 3), correction=0), torch.ones(3))
    else:
        expected = pictures / 127.5 - 1 if normalize == "half" else pictures / 255
        np.testing.assert_allclose(x.permute(0, 2, 3, 1), expected, atol=1e-6)


@pytest.mark.parametrize("normalize", ["half", "train"])
def test_a_network_is_trained_on_what_it_is_evaluated_on(normalize):
    data, seen = Drawn(normalize=normalize), []
    task = built(data)
    task.net.register_forward_pre_hook(lambda net, inputs: seen.append((net.training, inputs[0].detach().clone())))
    before = task.normalized(torch.from_numpy(data.splits["train"].inputs))
    trainer().fit(task, data)
    trained_on = torch.cat([x for training, x in seen if training])
    found = [[k for k in range(40) if torch.equal(x, before[k])] for x in trained_on]
    assert sorted(found) == [[k] for k in range(40)]  # each picture once, unchanged without augmentation


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("words", [(), ("optim.ema=0.5",)], ids=["net", "average"])
@pytest.mark.parametrize("how", ["dihedral", "shifts"])
def test_test_time_augmentation_is_the_mean_over_the_views(labels, words, how):
    data = Drawn(labels)
    task = built(data, f"task.module.tta={how}", *words)
    got = fitted(task, data)
    split = data.splits["test"]
    views = [np.rot90(flipped, k, axes=(1, 2)) for flipped in (split.inputs, split.inputs[:, :, ::-1]) for k in range(4)]
    if how == "shifts":
        border = np.pad(split.inputs, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
        views = [border[:, y : y + 8, x : x + 8] for y, x in [(1, 1), (0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1), (2, 2)]]
    logits = [logits_of(task.evaluated, view, data.spec) for view in views]
    each = [expit(one) if labels == "multi-label" else np.exp(log_softmax(one, axis=1)) for one in logits]
    kind = "multi-label, binary-class" if labels == "multi-label" else labels
    targets = split.targets if labels == "multi-label" else split.targets[:, None]
    for suffix, probabilities in (("", each[0]), ("_tta", np.mean(each, axis=0))):
        assert got[f"test/acc{suffix}"] == pytest.approx(getACC(targets, probabilities, kind), abs=1e-6)
        assert got[f"test/auc{suffix}"] == pytest.approx(getAUC(targets, probabilities, kind), abs=1e-6)
    assert got["test/auc"] != got["test/auc_tta"]
    assert not any(name.startswith("val/") and name.endswith("_tta") for name in got)
    np.testing.assert_allclose(task.predictions["probabilities"], each[0], rtol=1e-4)  # those of the plain view


@pytest.mark.parametrize("labels", LABELS)
def test_the_score_does_not_depend_on_the_size_of_the_evaluation_batches(labels):
    task = built(Drawn(labels), "model.batch_norm=all", "model.dropout=0.5", "task.module.tta=dihedral")
    scores, predictions = [], []
    for size in (1, 7, 100):
        worker, data = trainer(), Drawn(labels, eval_batch_size=size)
        worker.validate(task, data, verbose=False)
        score = dict(worker.callback_metrics)
        worker.test(task, data, verbose=False)
        scores.append({name: float(value) for name, value in (score | worker.callback_metrics).items()})
        predictions.append(task.predictions["probabilities"])
    for score, predicted in zip(scores, predictions, strict=True):
        assert len(score) == 7 + 9 and score == pytest.approx(scores[0], abs=1e-6)
        torch.testing.assert_close(predicted, predictions[0])


def test_scoring_stops_where_it_is_asked_to():
    """After the view that is under way: 512 pictures from several sides take seconds."""
    data, seen = Drawn(), []
    task = built(data, "task.module.tta=dihedral")
    task._trainer = SimpleNamespace(testing=True)
    task.net.register_forward_hook(lambda *_: seen.append(1))
    task.asked_to_stop = lambda: len(seen) >= 3  # the plain view and two of the eight
    split = data.splits["test"]
    batch = tuple(torch.from_numpy(part) for part in (split.inputs, split.targets, np.arange(len(split.targets))))
    task.test_step([batch, batch], 0)
    assert len(seen) == 3


@pytest.mark.parametrize("labels", LABELS)
def test_predictions_are_in_the_order_of_the_split(labels):
    data = Drawn(labels)
    task = built(data)
    fitted(task, data)
    split, predictions = data.splits["test"], task.predictions
    assert predictions["index"].tolist() == [*range(len(split.targets))]
    assert np.array_equal(predictions["targets"], split.targets)
    assert predictions["probabilities"].dtype == torch.float32
    logits = logits_of(task.net, split.inputs, data.spec)
    expected = expit(logits) if labels == "multi-label" else np.exp(log_softmax(logits, axis=1))
    np.testing.assert_allclose(predictions["probabilities"], expected, rtol=1e-4)


@pytest.mark.parametrize("network", ["model=resnet_small", "model.batch_norm=all"])
def test_the_averaged_copy_averages_the_statistics_of_normalization_too(network):
    data, states = Drawn(), []
    words = ("model.widths=[8,8]", "model.blocks=[0,1]") if network == "model=resnet_small" else ()
    cnn = () if words else SMALL[1:4]
    torch.manual_seed(0)
    task = build_task(composed("task=digits", *cnn, network, *words, "optim.lr=0.01", "optim.ema=0.75"), data.spec)
    note = LambdaCallback(on_train_batch_end=lambda *_: states.append({k: v.clone() for k, v in task.net.state_dict().items()}))
    fitted(task, data, "32-true", note)
    average: dict[str, Tensor] = states[0]  # the first step is taken over as it is
    for state in states[1:]:
        average = {name: 0.75 * average[name] + 0.25 * value for name, value in state.items()}
    got = task.evaluated.state_dict()
    names = [name for name, value in got.items() if value.is_floating_point()]
    assert len(states) == 3 and sum("running" in name for name in names) >= 4
    for name in names:
        torch.testing.assert_close(got[name], average[name])


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_a_step_in_another_precision_gives_about_the_loss_of_float32(labels, precision):
    words = ("task=digits", "model=cnn_pool", "optim.lr=0.001", "task.module.augment.rotate=10", "task.module.augment.translate=1")
    losses = []
    for precise in ("32-true", precision):
        data = Drawn(labels, batch_size=40)
        torch.manual_seed(0)
        got = fitted(build_task(composed(*words), data.spec), data, precise)
        losses.append([got["train/loss"], got["val/loss"], got["test/loss"]])  # before and after the step
    assert losses[1] == pytest.approx(losses[0], rel=0.02)
    assert losses[1] != losses[0]


WIDE = ImageSpec(3, 8, 12, tuple("ab"), "multi-class", (0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("spec", "words", "says"),
    [
        (None, ["task.module.tta=flips"], "task.module.tta=flips is not one of none, dihedral, shifts"),
        (None, ["task.module.label_smoothing=1"], "task.module.label_smoothing=1 is out of range: 0 to below 1"),
        (None, ["task.module.augment.zoom=-1"], "task.module.augment.zoom=-1 is out of range: 0 or more"),
        (None, ["task.module.augment.translate=8"], "task.module.augment.translate=8 is out of range: below 8, the smaller side"),
        (WIDE, ["task.module.augment.translate=8"], "task.module.augment.translate=8 is out of range: below 8, the smaller side"),
        (WIDE, ["task.module.tta=dihedral"], "turn pictures by a quarter, so 8x12 ones do not fit"),
        (WIDE, ["task.module.augment.dihedral=true"], "turn pictures by a quarter, so 8x12 ones do not fit"),
    ],
)
def test_a_wrong_knob_is_refused(spec, words, says):
    with pytest.raises(UserError, match=says):
        build_task(composed(*SMALL, *words), spec or Drawn().spec)
