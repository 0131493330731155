"""Chapter A: blood cells, with and without pooling, with and without a second softmax (R1 to R4)."""

from collections.abc import Sequence
from typing import Any

from dlhw import figures
from dlhw.report.claims import Verdict
from dlhw.report.document import Figure
from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row
from dlhw.report.runs import Record, select
from dlhw.theory import double_softmax_floor

DATA: dict[str, Any] = {"data": "medmnist/bloodmnist.npz", "embedded": ["task=digits"]}
SOFTMAX = {"experiment": "bloodmnist/softmax"}
ROWS = (
    Row("R1", "no pooling, logits", {**SOFTMAX, "model": "cnn", "model.softmax": "none"}, {"test/acc": [0.9325]}),
    Row("R2", "no pooling, softmax", {**SOFTMAX, "model": "cnn", "model.softmax": "output"}, {"test/acc": [0.6878]}),
    Row("R3", "max-pooling, logits", {**SOFTMAX, "model": "cnn_pool", "model.softmax": "none"}, {"test/acc": [0.9439]}),
    Row("R4", "max-pooling, softmax", {**SOFTMAX, "model": "cnn_pool", "model.softmax": "output"}, {"test/acc": [0.859]}),
)


def discussion(records: Sequence[Record], verdicts: Sequence[Verdict]) -> list[str]:
    floor = double_softmax_floor(8)
    lines = [
        f"A softmax before a loss that applies its own leaves values between 0 and 1 as logits. The most confident right answer then costs "
        f"log(1 + 7/e) = {floor:.3f}, and no network can learn to go below it; the gradient that drives a wrong answer right is small for "
        f"the same reason."
    ]
    for row in ROWS:
        if row.where["model.softmax"] == "output" and (runs := select(records, row.where)):
            least = [min(record.curve("train/loss")) for record in runs]
            lines.append(
                f"{row.id} comes down to a training loss of {min(least):.3f} to {max(least):.3f}, "
                f"{min(least) - floor:.3f} above the floor at the nearest."
            )
    return lines


def drawings(records: Sequence[Record]) -> list[Figure]:
    found = []
    for row in ROWS:
        for record in select(records, row.where)[:1]:
            if record.confusion is not None:
                classes = record.result["spec"]["classes"]
                caption = (
                    f"{row.id}, {row.label}: confusion matrix of seed {record.seed}, test split; shares of the true class, and counts."
                )
                found.append(Figure(f"bloodmnist-confusion-{row.id}", caption, figures.confusion_figure(record.confusion, classes)))
    return found


PLAN = Plan(
    name="bloodmnist",
    title="A. Blood cells",
    asked=[
        "A convolutional network classifies pictures of blood cells, 28 by 28 pixels, into eight kinds. What does max-pooling change in "
        "accuracy, time and size? And what happens where a softmax stands before a cross-entropy that already contains one?",
        "Training loss, validation accuracy and test accuracy are drawn over 200 epochs.",
    ],
    experiments=[
        Experiment(
            ["experiment=bloodmnist/softmax", "model=cnn_pool"], ["trainer.max_epochs=4", "trainer.steps_per_epoch=30", "seed=0"], **DATA
        ),
        Experiment(
            ["experiment=bloodmnist/softmax", "model=cnn", "seed=0,1,2"],
            ["trainer.max_epochs=2", "trainer.steps_per_epoch=6", "seed=0"],
            **DATA,
        ),
    ],
    rows=ROWS,
    metrics=[
        Metric("test/acc", "test accuracy"),
        Metric("max(test/acc)", "highest epoch"),
        Metric("last(test/acc)", "last epoch"),
    ],
    more=[
        Metric("test/auc", "test AUC"),
        Metric("last(train/loss)", "training loss", 3),
        Metric("spikes(test/acc)", "spikes", 1),
        Metric("params", "parameters", 0),
        Metric("train_seconds", "training (s)", 0),
    ],
    curves=[
        Curves(
            "curves",
            "Training loss, validation accuracy and test accuracy over the epochs: mean over the seeds, band from the smallest to the "
            "largest. Dashed: what a double softmax cannot go below.",
            [("train/loss", "training loss (nats)"), ("val/acc", "validation accuracy (share)"), ("test/acc", "test accuracy (share)")],
            [row.id for row in ROWS],
            {"log(1 + 7/e)": double_softmax_floor(8)},
        )
    ],
    drawings=drawings,
    discussion=discussion,
)
