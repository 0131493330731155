"""Chapter A: blood cells, with and without pooling, with and without a second softmax (R1 to R4)."""

from collections.abc import Sequence
from typing import Any

from dlhw import figures
from dlhw.report.document import Figure
from dlhw.report.plan import Curves, Discussion, Drawings, Experiment, Metric, Plan, Row
from dlhw.report.quantities import SPIKE, mean, quantity
from dlhw.report.runs import Record, select
from dlhw.results.statistics import paired_difference
from dlhw.run_folder import MOST_WRONG
from dlhw.theory import double_softmax_floor

DATA: dict[str, Any] = {"data": "medmnist/bloodmnist.npz", "embedded": ["task=digits"]}
SOURCE = {"bloodmnist": " Pictures: BloodMNIST (MedMNIST v2; Acevedo et al. 2020), CC BY 4.0."}
SOFTMAX = {"experiment": "bloodmnist/softmax"}
EPOCHS = 200  # of the report's runs
METRICS = (Metric("test/acc", "test accuracy"), Metric("max(test/acc)", "highest epoch"), Metric("last(test/acc)", "last epoch"))


def told(accuracy: float) -> dict[str, list[float]]:
    """A reported accuracy, of which the report does not say whether it is the highest, the last, or of an epoch that validation chose."""
    return {metric.quantity: [accuracy] for metric in METRICS}


# What follows, and chapter A2, takes these four in their order: no pooling, the same with a double softmax, pooling, the same.
ROWS = (
    Row("R1", "no pooling, logits", {**SOFTMAX, "model": "cnn", "model.softmax": "none"}, told(0.9325)),
    Row("R2", "no pooling, softmax", {**SOFTMAX, "model": "cnn", "model.softmax": "output"}, told(0.6878)),
    Row("R3", "max-pooling, logits", {**SOFTMAX, "model": "cnn_pool", "model.softmax": "none"}, told(0.9439)),
    Row("R4", "max-pooling, softmax", {**SOFTMAX, "model": "cnn_pool", "model.softmax": "output"}, told(0.859)),
)
VIEWS = [Metric("test/acc", "test accuracy"), Metric("test/acc_tta", "mean of nine views, shifted by up to a pixel")]
RESIDUAL = Row("best", "residual network, the same for turned and mirrored views", {"experiment": "bloodmnist/best"}, metrics=VIEWS)
FAST = Row("fast", "the same in small", {"experiment": "bloodmnist/fast"}, metrics=VIEWS[:1])
MORE = (
    Metric("test/auc", "test AUC"),
    Metric("last(train/loss)", "training loss", 3),
    Metric("spikes(test/acc)", "spikes", 1),
    Metric("params", "parameters", 0),
    Metric("train_seconds", "training (s)", 0, interval=False),
)


def curves(rows: Sequence[Row], classes: int) -> Curves:
    """Loss and accuracies over the epochs, with the floor of the double softmax."""
    return Curves(
        "curves",
        "Training loss, validation accuracy and test accuracy over the epochs: mean over the seeds, band from the smallest to the "
        "largest. Black and dashed: what a double softmax cannot go below.",
        [("train/loss", "training loss (nats)"), ("val/acc", "validation accuracy (share)"), ("test/acc", "test accuracy (share)")],
        [row.id for row in rows],
        {f"log(1 + {classes - 1}/e)": double_softmax_floor(classes)},
    )


def discussion(rows: Sequence[Row], classes: int) -> Discussion:
    """What pooling and the second softmax have done, in numbers, as far as the runs are there."""
    floor = double_softmax_floor(classes)

    def found(records: Sequence[Record]) -> list[str]:
        plain, plain_twice, pooled, pooled_twice = ([*select(records, row.where)] for row in rows)
        lines = [
            f"A softmax before a loss that applies its own leaves values between 0 and 1 as logits. The most confident right answer then "
            f"costs log(1 + {classes - 1}/e) = {floor:.3f}, and no network can learn to go below it; the gradient that drives a wrong "
            f"answer right is small for the same reason."
        ]
        for row, runs, without in ((rows[1], plain_twice, plain), (rows[3], pooled_twice, pooled)):
            if runs:
                least = [min(record.curve("train/loss")) for record in runs]
                lines.append(
                    f"{row.id} comes down to a training loss of {min(least):.3f} to {max(least):.3f}, {min(least) - floor:.3f} above the "
                    f"floor at the nearest{_changed('; the second softmax', runs, without)}."
                )
        if plain and pooled:
            share = mean(pooled, {}, "params") / mean(plain, {}, "params")
            time = mean(pooled, {}, "train_seconds") / mean(plain, {}, "train_seconds")
            lines.append(
                f"Max-pooling leaves {100 * share:.1f} % of the parameters and takes {100 * time:.0f} % of the training "
                f"time{_changed('; it', pooled, plain)}."
            )
        if measured := [(row, runs) for row, runs in zip(rows, (plain, plain_twice, pooled, pooled_twice), strict=True) if runs]:
            counts = ", ".join(f"{row.id} {mean(runs, {}, 'spikes(test/acc)'):.1f}" for row, runs in measured)
            optimism = max(mean(runs, {}, "max(test/acc)") - mean(runs, {}, "test/acc") for _, runs in measured)
            lines.append(
                f"A spike is a fall of the test accuracy by {100 * SPIKE:.0f} points or more from one epoch to the next; a run has, in "
                f"the mean: {counts}. Who reports the highest epoch of the test curve in the place of the one that validation chose adds "
                f"up to {100 * optimism:.1f} points."
            )
        return lines

    return found


def _changed(what: str, runs: Sequence[Record], without: Sequence[Record]) -> str:
    """By how many points the test accuracy differs, with the paired interval over the seeds that both have; nothing without any."""
    mine, others = ({record.seed: 100 * quantity(record, "test/acc") for record in members} for members in (runs, without))
    if not (effect := paired_difference(mine, others)):
        return ""
    within = f" [{effect.low:+.1f}, {effect.high:+.1f}]" if effect.low is not None and effect.high is not None else ""
    return f"{what} changes the test accuracy by {effect.mean:+.1f} points{within}"


def drawings(rows: Sequence[Row], wrong: Row) -> Drawings:
    """Confusion matrices, and the pictures that were most wrong to the network of one row where its folder has them."""

    def drawn(records: Sequence[Record]) -> list[Figure]:
        confusions, most_wrong = [], []
        for row in rows:
            for record in select(records, row.where)[:1]:
                begin, of = f"{record.result['task']}-", f"{row.id}, {row.label}: "
                if record.confusion is not None:
                    drawing = figures.confusion_figure(record.confusion, record.result["spec"]["classes"], cell=0.36)
                    text = f"{of}confusion matrix of seed {record.seed}, test split; shares of the true class in per cent."
                    confusions.append(Figure(f"{begin}confusion-{row.id}", text, drawing, half=True))
                if row == wrong and (record.folder / MOST_WRONG).exists():
                    text = f"{of}the test pictures with the highest loss (seed {record.seed}).{SOURCE.get(record.result['task'], '')}"
                    most_wrong.append(Figure(f"{begin}most-wrong-{row.id}", text, figures.stored_figure(record.folder / MOST_WRONG)))
        return confusions + most_wrong

    return drawn


def shorter(records: Sequence[Record]) -> list[str]:
    """Which systems were trained for fewer epochs than in the report."""
    fewer = []
    for row in ROWS:
        epochs = sorted(record.result["epochs"] for record in select(records, row.where))
        if epochs and epochs[0] < EPOCHS:
            fewer.append(f"{row.id} for {epochs[0]}{f' to {epochs[-1]}' if epochs[-1] > epochs[0] else ''}")
    return [f"The report trains for {EPOCHS} epochs; here {', '.join(fewer)}, so what it claims is judged early."] if fewer else []


def found(records: Sequence[Record]) -> list[str]:
    return shorter(records) + discussion(ROWS, 8)(records)


PLAN = Plan(
    name="bloodmnist",
    title="A. Blood cells",
    asked=[
        "A convolutional network classifies pictures of blood cells, 28 by 28 pixels, into eight kinds. What does max-pooling change in "
        "accuracy, time and size? And what happens where a softmax stands before a cross-entropy that already contains one?",
        "Training loss, validation accuracy and test accuracy are drawn over 200 epochs. The report does not say of which epoch its "
        "accuracies are; so they stand beside that of the epoch which validation chose, the highest and the last.",
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
        *(
            Experiment([f"experiment=bloodmnist/{name}"], ["trainer.max_epochs=1", "trainer.steps_per_epoch=10", "seed=0"], **DATA)
            for name in ("best", "fast")
        ),
    ],
    rows=[*ROWS, RESIDUAL, FAST],
    metrics=METRICS,
    more=MORE,
    curves=[curves(ROWS, 8)],
    drawings=drawings([*ROWS, RESIDUAL], RESIDUAL),
    discussion=found,
)
