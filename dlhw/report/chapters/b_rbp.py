"""Chapter B: RNA-binding proteins: convolution, recurrence, attention, many proteins at once, proteins never seen (R5 to R8)."""

from collections.abc import Sequence

from dlhw.report.claims import Verdict
from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row
from dlhw.report.runs import Record

RBP04 = "task.data.protein=RBP04"
SHORT = ["trainer.max_epochs=2", "task.data.train_probes=3000", "task.data.val_probes=1000", "seed=0"]
ATTENTION = {"experiment": "rbp/attention"}
SINGLE = {"experiment": "rbp/single"}


def many(model: str) -> dict[str, str]:
    return {"experiment": f"rbp_multi/{model}", "task.data.exclude": "[]"}


def discussion(records: Sequence[Record], verdicts: Sequence[Verdict]) -> list[str]:
    return [
        "The figures that the reports give are of RBFOX1, whose table is not at hand; those here are of RBP04, an anonymous protein of "
        "the same kind of experiment, so the two cannot be compared. What can be compared is which system does better.",
        "R8 is shown on simulated proteins only: their binding motif is a function of their amino acids, by construction, so it shows that "
        "the network can learn such a rule and not that real proteins follow one.",
    ]


PLAN = Plan(
    name="rbp",
    title="B. RNA-binding proteins",
    asked=[
        "How strongly does a protein bind to an RNA probe of 30 to 41 nucleotides? A convolution that looks for motifs, a recurrent "
        "network and one with attention are trained on the probes of set A and tested on set B, by Spearman's rank correlation.",
        "Asked as well: the effect of kernel size, filters, hidden size and learning rate; whether attention learns sooner or better; what "
        "it takes to serve many proteins, or proteins that were never measured.",
    ],
    experiments=[
        Experiment(["experiment=rbp/single", RBP04], SHORT),
        Experiment(["experiment=rbp/attention", RBP04], SHORT),
        Experiment(["experiment=rbp/filters", RBP04], [*SHORT, "model.kernel=6,12", "model.filters=32,64"]),
        Experiment(["experiment=rbp/hidden", RBP04], [*SHORT, "model.hidden=32,64", "optim.lr=0.001"]),
        Experiment(["task=rbp_multi", "model=rbp_multi"], SHORT),
        Experiment(["task=rbp_multi", "model=multirbp"], SHORT),
        Experiment(["task=rbp_multi", "model=residualbind"], SHORT),
        Experiment(["task=rbp_multi", "model=kmer_ridge"], SHORT[1:]),
        Experiment(["experiment=rbp/unseen"], ["trainer.max_epochs=2", "task.data.probes=1000", "seed=0"]),
    ],
    rows=[
        Row("R5", "convolution, RBP04", {**SINGLE, "model": "rbp_cnn"}, {"test/spearman": [0.577, 0.622], "test/pearson": [0.786]}, False),
        Row(
            "R6",
            "Bi-LSTM, RBP04",
            {**SINGLE, "model": "rbp_bilstm"},
            {"test/spearman": [0.6485, 0.671], "test/pearson": [0.814]},
            comparable=False,
        ),
        Row("best", "dilated residual network, RBP04", {**SINGLE, "model": "rbp_multi"}),
        Row("R6c", "Bi-LSTM, the course's rate, mean pooling", {**ATTENTION, "model.attention": "none"}),
        Row(
            "R7",
            "Bi-LSTM, the course's rate, attention pooling",
            {**ATTENTION, "model.attention": "pool"},
            {"test/spearman": [0.65]},
            False,
        ),
        Row("R7m", "Bi-LSTM, the course's rate, multi-head self-attention", {**ATTENTION, "model.attention": "multihead"}),
        Row("many", "one network for 22 proteins", many("rbp_multi")),
        Row("MultiRBP", "peer, after its paper", many("multirbp")),
        Row("ResidualBind", "peer, after its paper", many("residualbind")),
        Row("k-mers", "ridge regression on k-mer counts", many("kmer_ridge")),
        Row("R8", "dual encoder, proteins never seen (simulated)", {"experiment": "rbp/unseen", "model": "rbp_dual_encoder"}),
        Row("nearest", "the most alike protein's answer (simulated)", {"experiment": "rbp/unseen", "model": "rbp_nearest"}),
        Row("mean", "the mean protein's answer (simulated)", {"experiment": "rbp/unseen", "model": "rbp_mean"}),
    ],
    metrics=[Metric("test/spearman", "Spearman"), Metric("test/pearson", "Pearson")],
    more=[
        Metric("val/spearman", "validation"),
        Metric("passes(val/spearman,0.7)", "epochs to 0.70", 1),
        Metric("gap(loss)", "loss gap", 3),
        Metric("params", "parameters", 0),
        Metric("train_seconds", "training (s)", 0),
    ],
    curves=[
        Curves(
            "attention",
            "Loss and Spearman over the epochs, with and without attention, on RBP04: mean over the seeds, band from the smallest to "
            "the largest.",
            [
                ("train/loss", "training loss"),
                ("val/loss", "validation loss"),
                ("train/spearman", "training Spearman"),
                ("val/spearman", "validation Spearman"),
            ],
            ["R6c", "R7", "R7m"],
        ),
        Curves(
            "single",
            "The three networks for one protein under one recipe (RBP04): mean over the seeds, band from the smallest to the largest.",
            [
                ("train/loss", "training loss"),
                ("val/loss", "validation loss"),
                ("train/spearman", "training Spearman"),
                ("val/spearman", "validation Spearman"),
            ],
            ["R5", "R6", "best"],
        ),
    ],
    discussion=discussion,
)
