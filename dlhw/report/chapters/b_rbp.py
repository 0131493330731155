"""Chapter B: RNA-binding proteins: convolution, recurrence, attention, many proteins at once, proteins never seen (R5 to R8)."""

from collections.abc import Sequence
from typing import Any

from dlhw.report.document import Figure, Table
from dlhw.report.few_shot import few_shot
from dlhw.report.parts.grid import grid
from dlhw.report.parts.motifs import attention, logos
from dlhw.report.parts.proteins import by_protein, kmers
from dlhw.report.parts.rbp_findings import (
    ADAPTED_ONE,
    ATTENTION,
    CLUSTER,
    COURSE_CNN,
    COURSE_LSTM,
    EACH,
    FILTERS,
    HIDDEN,
    ONE,
    RAW,
    SIM_ATTENTION,
    SIM_FILTERS,
    SINGLE,
    SYSTEMS,
    TAUGHT_SCORES,
    UNRELIABLE,
    UNSEEN,
    few_shot_scores,
    findings,
    many,
)
from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row
from dlhw.report.runs import Record

RBP04 = "task.data.protein=RBP04"
SHORT = ["trainer.max_epochs=2", "task.data.train_probes=3000", "task.data.val_probes=500", "task.data.test_probes=3000", "seed=0"]
DATA: dict[str, Any] = {"data": "rnacompete/norm_data_22rbp.tsv.gz", "embedded": ["task=rbp_sim", "task.data.protein=SIM01"]}
MANY: dict[str, Any] = {"data": "rnacompete/norm_data_22rbp.tsv.gz", "embedded": ["task=rbp_sim"]}
UNSEEN_SHORT = ["trainer.max_epochs=2", "task.data.probes=1000", "seed=0"]
KERNEL, NUMBER = ("model.kernel", "kernel"), ("model.filters", "filters")
WIDTH, RATE = ("model.hidden", "hidden"), ("optim.lr", "learning rate")
BOTH = [Metric("test/spearman", "Spearman"), Metric("test/pearson", "Pearson")]
TOGETHER = [Metric("ensemble(test_mean/spearman)", "Spearman"), Metric("ensemble(test_mean/pearson)", "Pearson of normal scores")]
OF_SCORES = [BOTH[0], Metric("test/pearson", "Pearson of normal scores")]  # not to be held against one of intensities
SPEARMAN_ALONE = [("train/spearman", "training Spearman"), ("val/spearman", "validation Spearman")]
LOSS_AND_SPEARMAN = [("train/loss", "training loss"), ("val/loss", "validation loss"), *SPEARMAN_ALONE]


def pair(model: str) -> list[str]:
    """The sweep of a network over all proteins of the table."""
    return [f"experiment=rbp_multi/{model}", "task=rbp_multi", f"model={model}"]


def scored(row_id: str, label: str, where: dict[str, Any]) -> Row:
    """A system that was taught and tested on normal scores."""
    return Row(row_id, label, {**where, **TAUGHT_SCORES}, metrics=OF_SCORES)


def measured(answer: str) -> list[Metric]:
    """What was measured of other proteins, as an answer for those that are held out."""
    return [Metric(f"test/{metric.lower()}_{answer}_protein", metric) for metric in ("Spearman", "Pearson")]


def unseen_rows(where: dict[str, str], mark: str, what: str) -> list[Row]:
    """The dual encoder and what it is to be held against, all read off the same kind of split."""
    dual = {**where, "model": "rbp_dual_encoder"}
    return [
        Row(f"R8{mark}", f"dual encoder, {what} never seen", dual),
        Row(f"R8{mark} nearest", "what was measured of the most alike protein", dual, metrics=measured("nearest")),
        Row(f"R8{mark} mean", "what was measured of all proteins, the mean", dual, metrics=measured("mean")),
        Row(f"R8{mark} net nearest", "a network's answer for the most alike protein", {**where, "model": "rbp_nearest"}),
        Row(f"R8{mark} net mean", "a network's answers for all proteins, the mean", {**where, "model": "rbp_mean"}),
    ]


def tables(records: Sequence[Record]) -> list[Table]:
    title = "Test Spearman by"
    return [
        *grid("rbp-filters", f"{title} kernel size and number of filters of the convolution.", records, FILTERS, KERNEL, NUMBER),
        *grid("rbp-hidden", f"{title} hidden size and learning rate of the Bi-LSTM.", records, HIDDEN, WIDTH, RATE),
        *by_protein("rbp-proteins", f"{title} protein: one network for all, one for each, and the peers.", records, SYSTEMS, UNRELIABLE),
        *kmers(
            "rbp-kmers",
            "The most important 5-mer to a network and the one with the highest z-score of the measured intensities.",
            records,
            [many("rbp_multi"), SIM_FILTERS, SIM_ATTENTION],
        ),
    ]


def drawings(records: Sequence[Record]) -> list[Figure]:
    figures = [*logos("rbp-logos", records, SIM_FILTERS), *attention("rbp-attention-on", records, SIM_ATTENTION)]
    if found := few_shot_scores(records):
        caption = (
            "Test Spearman of a protein over the number of its probes: started from a network of the other proteins, and from scratch. "
            "Lines: mean over the seeds, each with probes of its own; bands: from the smallest to the largest."
        )
        figures.append(Figure("rbp-few-shot", caption, few_shot(found)))
    return figures


METRICS = (Metric("test/spearman", "Spearman"), Metric("test/pearson", "Pearson"))
ALSO_VALIDATION = (Metric("val/spearman", "Spearman, validation"), *METRICS)  # what some reports state

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
        Experiment(["experiment=rbp/single", RBP04], SHORT, **DATA),
        Experiment(["experiment=rbp/attention", RBP04], SHORT, **DATA),
        Experiment(["experiment=rbp/filters", RBP04], [*SHORT, "model.kernel=6,12", "model.filters=32,64"], **DATA),
        Experiment(["experiment=rbp/hidden", RBP04], [*SHORT, "model.hidden=32,64", "optim.lr=0.001"], **DATA),
        Experiment(
            pair("rbp_multi"),
            SHORT,
            [
                ["dlhw.explain", "run={run}", f"protein={protein}", "probes=0", "data_root={data_root}"]
                for protein in ("RBP03", "RBP04", "RBP24")
            ],
            quick_then=(),  # minutes each
            **MANY,
        ),
        *(Experiment(pair(model), SHORT, **MANY) for model in ("multirbp", "residualbind")),
        Experiment(pair("kmer_ridge"), SHORT[1:], **MANY),
        Experiment(
            ["experiment=rbp/each", RBP04, "seed=0,1,2"], SHORT, [["dlhw.results", "ensemble", "{folder}", RBP04]], quick_then=(), **DATA
        ),
        Experiment(
            ["experiment=rbp/each"],
            [*SHORT, "task.data.protein=RBP03,RBP04"],
            data=MANY["data"],
            embedded=["task=rbp_sim", "task.data.protein=SIM01,SIM02"],
        ),
        Experiment([*pair("rbp_multi"), "task.data.exclude=[RBP04]", "seed=0"], None),
        Experiment(["experiment=rbp/adapted"], None),
        *(
            Experiment(
                ["experiment=rbp/few_shot", RBP04, "warm_start=null,${output_root}/rbp_multi/rbp_multi/exclude-RBP04_seed-0", *more], None
            )
            for more in ((), ("task.data.train_probes=10000", "trainer.patience=10"))
        ),
        Experiment(["experiment=rbp/a1cf_ankhd1"], SHORT, data="rnacompete/norm_data_A1CF_ANKHD1.tsv.gz"),
        Experiment(
            ["experiment=rbp/a1cf_ankhd1", "model=kmer_ridge", "trainer.max_epochs=1", "seed=0"],
            SHORT[1:],
            data="rnacompete/norm_data_A1CF_ANKHD1.tsv.gz",
        ),
        Experiment(["experiment=rbp/unseen"], UNSEEN_SHORT),
        Experiment(["experiment=rbp/unseen_cluster"], UNSEEN_SHORT),
        *(
            Experiment([f"experiment=rbp_sim/{name}"], (), [["dlhw.explain", "run={run}", "data_root={data_root}"]])
            for name in ("filters", "attention")
        ),
    ],
    rows=[
        Row(
            "R5",
            "convolution, the course's setting",
            COURSE_CNN,
            {"val/spearman": [0.577], "test/spearman": [0.622], "test/pearson": [0.786]},
            comparable=False,
            metrics=ALSO_VALIDATION,
        ),
        Row(
            "R6",
            "Bi-LSTM, the course's setting, but fewer epochs than its 50",
            COURSE_LSTM,
            {"val/spearman": [0.6485], "test/spearman": [0.671], "test/pearson": [0.814]},
            comparable=False,
            metrics=ALSO_VALIDATION,
        ),
        Row("R6a", "Bi-LSTM, the course's rate, mean pooling", {**ATTENTION, "model.attention": "none"}),
        Row(
            "R7",
            "the same, attention pooling",
            {**ATTENTION, "model.attention": "pool"},
            {"val/spearman": [0.65]},
            comparable=False,
            metrics=ALSO_VALIDATION,
        ),
        Row("R7m", "the same, multi-head self-attention", {**ATTENTION, "model.attention": "multihead"}),
        Row("R5+", "convolution, our recipe", {**SINGLE, "model": "rbp_cnn"}),
        Row("R6+", "Bi-LSTM, our recipe", {**SINGLE, "model": "rbp_bilstm"}),
        scored("best", "dilated residual network, our recipe, normal scores", {**EACH, **ONE}),
        scored("adapted", "the same, started from a network of all other proteins", {**ADAPTED_ONE, **ONE}),
        Row("best-e", "ensemble: the seeds of the best as one", {**EACH, **ONE, **TAUGHT_SCORES}, metrics=TOGETHER),
        scored("many", "one network for all proteins of the table", many("rbp_multi")),
        scored("MultiRBP", "peer, after its paper, far narrower", many("multirbp")),
        scored("ResidualBind", "peer, after its paper", many("residualbind")),
        scored("k-mers", "ridge regression on k-mer counts", many("kmer_ridge")),
        *(
            Row(mark, what, {**RAW, "model": model}, metrics=[Metric(f"test/spearman:{name}", f"{name}") for name in ("A1CF", "ANKHD1")])
            for mark, what, model in (
                ("raw", "dilated residual network, A1CF and ANKHD1", "rbp_multi"),
                ("raw k-mers", "ridge regression, A1CF and ANKHD1", "kmer_ridge"),
            )
        ),
        *unseen_rows(UNSEEN, "", "proteins"),
        *unseen_rows(CLUSTER, "c", "families"),
    ],
    metrics=BOTH,
    more=[
        Metric("val/spearman", "validation"),
        Metric("passes(val/spearman,0.7)", "epochs to 0.70", 1),
        Metric("gap(loss)", "loss gap, own scale", 3),
    ],
    tables=tables,
    curves=[
        Curves(
            "attention",
            "Loss and Spearman over the epochs, with and without attention: mean over the seeds, band from the smallest to the largest.",
            LOSS_AND_SPEARMAN,
            ["R6a", "R7", "R7m"],
        ),
        Curves(
            "single",
            "Spearman over the epochs of the networks for one protein under our recipe: mean over the seeds, band from the smallest to "
            "the largest. Their losses cannot be compared: the residual network is taught on normal scores.",
            SPEARMAN_ALONE,
            ["R5+", "R6+", "best"],
        ),
    ],
    drawings=drawings,
    discussion=findings,
)
