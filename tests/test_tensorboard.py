"""What a run shows in TensorBoard: read back from its event files, compared with scikit-learn, torch and the run's other records."""

import gc
import io
import json
import re
import shutil
import subprocess
import sys
import weakref
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
import torch
from harness import ROOT, Shell, result
from matplotlib import pyplot
from numpy.typing import NDArray
from PIL import Image
from sklearn.metrics import average_precision_score, confusion_matrix
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.metadata import SESSION_START_INFO_TAG, parse_session_start_info_plugin_data
from torch.nn import functional as F

from dlhw.callbacks.final_pictures import most_wrong, write_final_pictures
from dlhw.figures import MOST_CELLS_WITH_TEXT, confusion_figure, pictures_figure, precision_recall_figure, rendered
from dlhw.predictions import confusion_counts, indicators
from dlhw.run_files import read_metrics
from dlhw.run_folder import LAST, METRICS
from dlhw.run_logger import RunLogger
from dlhw.specs import ImageSpec

TINY = ("trainer=smoke", "trainer.accelerator=cpu", "model.channels=[4]", "model.hidden=[8]")
CLASSES = ("ant", "bee", "cicada of an endless name that fits into no figure")


def multi_class(samples: int = 400) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Probabilities (N, 3), rounded so that many are equal, and targets (N,)."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, samples)
    logits = random.normal(size=(samples, 3)) + 1.5 * np.eye(3)[targets]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities.round(2).astype(np.float32), targets


def multi_label(samples: int = 400) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Probabilities and targets, both (N, 3)."""
    random = np.random.default_rng(1)
    targets = random.integers(0, 2, (samples, 3)).astype(np.float32)
    return (0.6 * random.random((samples, 3)) + 0.4 * targets).astype(np.float32), targets


def spec_of(labels: str) -> ImageSpec:
    return ImageSpec(1, 8, 8, CLASSES, labels, (0.5,), (0.5,))


def events(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0, "tensors": 0}).Reload()


def test_confusion_figure_shows_the_counts_of_scikit_learn() -> None:
    probabilities, targets = multi_class()
    predicted = np.where(probabilities.argmax(axis=1) == 2, 1, probabilities.argmax(axis=1))  # one class is never predicted
    counts = confusion_counts(targets, predicted, 4)  # and one is never true
    np.testing.assert_array_equal(counts, confusion_matrix(targets, predicted, labels=range(4)))
    [axes] = confusion_figure(counts, [*CLASSES, "dragonfly"]).axes
    shown = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    shares = confusion_matrix(targets, predicted, labels=range(3), normalize="true")
    expected = {(r, c): f"{100 * shares[r, c]:.1f}%\n{counts[r, c]}" for r in range(3) for c in range(3) if counts[r, c]}
    assert shown == expected
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")  # columns and rows


def test_confusion_figure_grows_with_the_classes() -> None:
    sizes = [rendered(confusion_figure(np.eye(k, dtype=int), [f"class {i}" for i in range(k)])).shape for k in (2, 8, 14)]
    assert sizes[0] < sizes[1] < sizes[2] < (1600, 1600)
    many = MOST_CELLS_WITH_TEXT + 1
    figure = confusion_figure(np.eye(many, dtype=int), ["x"] * many)
    assert not figure.axes[0].texts  # they could not be read
    assert max(rendered(confusion_figure(np.eye(200, dtype=int), ["x"] * 200)).shape) < 2000


@pytest.mark.parametrize("example", [multi_class, multi_label])
def test_average_precision_in_the_legend_is_that_of_scikit_learn(example) -> None:
    probabilities, targets = example()
    true = indicators(targets, 3)
    figure = precision_recall_figure(true, probabilities, CLASSES)
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    expected = average_precision_score(true, probabilities, average=None)
    assert [re.match(r"AP (\d\.\d{3})  ", label)[1] for label in labels] == [f"{value:.3f}" for value in expected]
    assert [int(re.search(r"\((\d+)\)$", label)[1]) for label in labels] == list(true.sum(axis=0))
    for line, value in zip(figure.axes[0].lines, expected, strict=True):  # the steps that are drawn enclose it
        recall, precision = line.get_data()
        assert np.diff(recall) @ precision[1:] == pytest.approx(value, abs=1e-9)


def test_a_class_without_a_sample_has_no_curve_and_the_legend_says_so() -> None:
    probabilities, targets = multi_class()
    figure = precision_recall_figure(indicators(np.minimum(targets, 1), 3), probabilities, CLASSES)
    assert figure.axes[0].get_legend().get_texts()[2].get_text().startswith("no sample  cicada")
    assert [len(line.get_xdata()) > 0 for line in figure.axes[0].lines] == [True, True, False]


def test_most_wrong_are_those_of_the_highest_loss() -> None:
    probabilities, targets = multi_class()
    probabilities += np.random.default_rng(2).uniform(1e-4, 9e-3, probabilities.shape).astype(np.float32)  # no two losses are equal
    losses = F.nll_loss(torch.from_numpy(probabilities).double().log(), torch.from_numpy(targets), reduction="none")
    assert most_wrong(probabilities, targets, 16).tolist() == losses.argsort(descending=True)[:16].tolist()
    probabilities, targets = multi_label()
    losses = F.binary_cross_entropy(*map(torch.from_numpy, (probabilities, targets)), reduction="none").mean(dim=1)
    assert most_wrong(probabilities, targets, 16).tolist() == losses.argsort(descending=True)[:16].tolist()
    certain = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]], np.float32)  # an infinite loss comes first, without a warning
    assert most_wrong(certain, np.array([0, 0, 0]), 2).tolist() == [1, 2]


@pytest.mark.parametrize(
    ("labels", "probabilities", "targets", "captions"),
    [
        (
            "multi-class",
            [[0.7, 0.2, 0.1], [0.1, 0.2, 0.7]],
            [1, 2],
            ["bee\n→ ant (0.70)", "cicada of an endles…\n→ cicada of an endles… (0.70)"],
        ),
        ("multi-label", [[0.1, 0.2, 0.6], [0.9, 0.4, 0.1]], [[0, 1, 1], [1, 0, 0]], ["bee\n→ no bee (0.80)", "no bee\n→ no bee (0.60)"]),
    ],
)
def test_pictures_are_captioned_and_those_that_are_wrong_marked(labels, probabilities, targets, captions, tmp_path, monkeypatch) -> None:
    drawn = []
    monkeypatch.setattr("dlhw.figures.pictures_figure", lambda *words, **named: drawn.append(words) or pictures_figure(*words, **named))
    pictures = np.arange(5 * 64, dtype=np.uint8).reshape(5, 8, 8, 1)
    np.save(tmp_path / "pictures.npy", pictures)
    mapped = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    predictions = {
        "probabilities": np.array(probabilities, np.float32),
        "targets": np.array(targets, np.float32 if labels == "multi-label" else np.int64),
        "index": np.array([4, 2]),
    }
    logger = RunLogger(tmp_path, name="", version="log")
    write_final_pictures(tmp_path, logger, spec_of(labels), predictions, mapped, 1)
    [(shown, said, wrong)] = drawn
    np.testing.assert_array_equal(shown, pictures[[4, 2]])
    assert (list(said), list(wrong)) == (captions, [True, False])


@pytest.mark.parametrize(("labels", "example"), [("multi-class", multi_class), ("multi-label", multi_label)])
def test_what_is_written_at_the_end(labels, example, tmp_path) -> None:
    probabilities, targets = example()
    predictions = {"probabilities": probabilities, "targets": targets, "index": np.arange(400)}
    logger = RunLogger(tmp_path, name="", version="log")
    write_final_pictures(tmp_path, logger, spec_of(labels), predictions, np.zeros((400, 8, 8, 1), np.uint8), 7)
    logger.finalize("success")
    log = events(tmp_path / "log")
    figures = {"test/precision_recall", "test/most_wrong"} | ({"test/confusion"} if labels == "multi-class" else set())
    assert set(log.Tags()["images"]) == figures
    for tag in figures:
        [event] = log.Images(tag)
        picture = np.asarray(Image.open(io.BytesIO(event.encoded_image_string)))
        assert event.step == 7
        assert picture.std() > 10  # something is drawn
    assert set(log.Tags()["tensors"]) == {f"test/precision_recall/{name}" for name in CLASSES}
    stored = np.asarray(Image.open(tmp_path / "most_wrong.png"))
    np.testing.assert_array_equal(stored, np.asarray(Image.open(io.BytesIO(log.Images("test/most_wrong")[0].encoded_image_string))))
    true = indicators(targets, 3)
    for k, name in enumerate(CLASSES):
        [event] = log.Tensors(f"test/precision_recall/{name}")
        positive, false_positive = np.array(event.tensor_proto.float_val).reshape(6, 127)[:2]
        chosen = probabilities[:, k] >= 63 / 126
        assert (positive[63], false_positive[63]) == ((true[:, k] & chosen).sum(), (~true[:, k] & chosen).sum())


def test_a_task_without_classes_has_no_pictures(tmp_path) -> None:
    logger = RunLogger(tmp_path, name="", version="log")
    write_final_pictures(tmp_path, logger, object(), {"probabilities": np.zeros((1, 2))}, np.zeros((1, 8, 8, 1), np.uint8), 1)
    write_final_pictures(tmp_path, logger, spec_of("multi-class"), {}, np.zeros((1, 8, 8, 1), np.uint8), 1)
    assert not [*tmp_path.iterdir()]


def test_figures_are_released(tmp_path, monkeypatch) -> None:
    drawn: list[weakref.ref] = []
    monkeypatch.setattr("dlhw.figures.rendered", lambda figure: drawn.append(weakref.ref(figure)) or rendered(figure))
    probabilities, targets = multi_class()
    predictions = {"probabilities": probabilities, "targets": targets, "index": np.arange(400)}
    write_final_pictures(
        tmp_path, RunLogger(tmp_path, name="", version="log"), spec_of("multi-class"), predictions, np.zeros((400, 8, 8, 1), np.uint8), 1
    )
    gc.collect()
    assert [figure() for figure in drawn] == [None] * 3
    assert not pyplot.get_fignums()


def test_figures_need_neither_torch_nor_pyplot() -> None:
    program = "import sys; sys.modules['torch'] = sys.modules['matplotlib.pyplot'] = None; import dlhw.figures"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_a_run_shows_one_point_an_epoch(shell: Shell) -> None:
    shell.run(*TINY, "trainer.test_every_epoch=true", "trainer.final_pictures=true")
    run = shell.only_run()
    log = events(run / "tensorboard")
    rows = defaultdict(list)
    for row in read_metrics(run / METRICS):
        for name, value in row.items():
            rows[name].append((int(row["epoch"]), pytest.approx(value, rel=1e-6)))
    assert rows.keys() >= {"train/loss", "val/acc", "test/acc", "lr", "samples_per_second"}
    epochs = rows.pop("epoch")
    written = {name: [(point.step, point.value) for point in log.Scalars(f"epoch/{name}")] for name in rows}
    assert len(epochs) == 2
    assert written == rows
    assert set(log.Tags()["scalars"]) == {*(f"epoch/{name}" for name in rows), "best/acc/test", "best/auc/test", "best/acc/val"}
    assert {point.step for tag in log.Tags()["images"] for point in log.Images(tag)} == {2}
    assert not list(run.rglob("hparams.yaml"))


def test_hyper_parameters_stand_beside_the_final_metrics(shell: Shell) -> None:
    shell.run(*TINY, "+trainer.callbacks.timer._target_=lightning.pytorch.callbacks.Timer")
    shell.run(*TINY, "model=cnn", "model.channels=[4,8]", "optim.clip_norm=1", "optim.lr=0.01")
    runs = {str(run.relative_to(shell.folder / "outputs") / "tensorboard"): result(run) for run in shell.runs()}
    readers = EventMultiplexer().AddRunsFromDirectory(str(shell.folder / "outputs")).Reload()
    assert set(readers.Runs()) == set(runs)
    context = Context(TBContext(data_provider=MultiplexerDataProvider(readers, str(shell.folder / "outputs"))))
    contents = context.hparams_metadata(RequestContext(), "")
    table = context.experiment_from_metadata(RequestContext(), "", True, contents, [])

    metrics = {info.name.tag for info in table.metric_infos}
    assert {"best/acc/test", "best/auc/test", "best/acc/val"} == {tag for tag in metrics if not tag.startswith("epoch/")}
    for name, outcome in runs.items():
        last = {tag: readers.Tensors(name, tag)[-1] for tag in metrics}
        assert last["best/acc/test"].step == outcome["epochs"]
        values = {tag: float(event.tensor_proto.float_val[0]) for tag, event in last.items() if tag.startswith("best/")}
        expected = {"best/acc/test": outcome["test"]["acc"], "best/auc/test": outcome["test"]["auc"], "best/acc/val": outcome["val"]["acc"]}
        assert values == pytest.approx(expected, rel=1e-6)

    knobs = {info.name: info for info in table.hparam_infos}
    assert {name for name, info in knobs.items() if info.differs} == {
        "model",
        "model.channels",
        "model.pool",
        "optim.clip_norm",
        "optim.lr",
    }
    assert knobs["optim.lr"].type == api_pb2.DATA_TYPE_FLOAT64
    settings = {name: parse_session_start_info_plugin_data(tags[SESSION_START_INFO_TAG]).hparams for name, tags in contents.items()}
    [first, second] = (settings[name] for name in sorted(settings, reverse=True))  # digits/cnn_pool, digits/cnn
    assert (first["task"].string_value, first["model"].string_value, second["model"].string_value) == ("digits", "cnn_pool", "cnn")
    assert (first["optim"].string_value, first["optim.lr"].number_value, second["optim.lr"].number_value) == ("Adam", 0.001, 0.01)
    assert (first["optim.clip_norm"].string_value, second["optim.clip_norm"].number_value) == ("null", 1.0)
    assert (first["model.channels"].string_value, second["model.channels"].string_value) == ("[4]", "[4, 8]")
    assert first["trainer.deterministic"].string_value == "true"


def interrupt(run: Path, last: Path | None) -> None:
    """Make a finished run one that was killed, with an older last.ckpt or with none at all."""
    for name in (LAST, f"{LAST}.sha256"):
        (run / name).unlink()
        if last:
            shutil.copy(last / Path(name).name, run / name)
    (run / "result.json").write_text(json.dumps({"status": "running", "started": "then"}))


def test_epochs_that_are_trained_again_have_no_second_point(shell: Shell, tmp_path: Path) -> None:
    more = (*TINY, "trainer.max_epochs=4")
    shell.run(*TINY)
    run = shell.only_run()
    shutil.copytree(run / "checkpoints", tmp_path / "earlier")
    shell.run(*more)  # a finished run is extended
    interrupt(run, tmp_path / "earlier")
    assert "resumed" in shell.run(*more)  # from epoch 2, though TensorBoard has heard of 2 and 3
    once = {"epoch/train/loss": [0, 1, 2, 3], "epoch/val/acc": [0, 1, 2, 3], "epoch/lr": [0, 1, 2, 3], "best/acc/test": [4]}

    def steps() -> dict[str, list[int]]:
        log = events(run / "tensorboard")
        return {tag: [point.step for point in log.Scalars(tag)] for tag in once}

    assert steps() == once
    interrupt(run, None)
    assert "started" in shell.run(*more)  # from the beginning: the kill came before the first last.ckpt
    assert steps() == once
