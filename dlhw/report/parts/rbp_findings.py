"""What the runs of chapter B say, in sentences; each is there only where its runs are."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import Any

from dlhw.errors import UserError
from dlhw.report.claims import by_part
from dlhw.report.few_shot import ADAPTED, SCRATCH, Scores, scores
from dlhw.report.parts.motifs import attention_on
from dlhw.report.quantities import mean, passes, quantity
from dlhw.report.runs import Record, select

UNRELIABLE = ("RBP01", "RBP35")  # that hardly anything predicts
ONE: dict[str, Any] = {"task.data.protein": ["RBP04", "SIM01"]}  # the second in a quick report without data
FILTERS, HIDDEN = {"experiment": "rbp/filters", **ONE}, {"experiment": "rbp/hidden", **ONE}
ATTENTION, SINGLE = {"experiment": "rbp/attention", **ONE}, {"experiment": "rbp/single", **ONE}
EACH, ADAPTED_ONE, FEW_SHOT = {"experiment": "rbp/each"}, {"experiment": "rbp/adapted"}, {"experiment": "rbp/few_shot"}
SIM_FILTERS, SIM_ATTENTION = {"experiment": "rbp_sim/filters"}, {"experiment": "rbp_sim/attention"}
UNSEEN, CLUSTER = {"experiment": "rbp/unseen"}, {"experiment": "rbp/unseen_cluster"}
RAW = {"experiment": "rbp/a1cf_ankhd1"}
COURSE_CNN = {**FILTERS, "model.kernel": 12, "model.filters": 32, "optim.lr": 0.001}
COURSE_LSTM = {**HIDDEN, "model.hidden": 64, "optim.lr": 0.001}
COURSE_LSTM_EPOCHS = 50
SPEARMAN = "test/spearman"
TAUGHT_SCORES = {"task.data.normal_scores": True}


def many(model: str) -> dict[str, str]:
    """The runs of a network for all proteins of the table."""
    return {"experiment": f"rbp_multi/{model}", "task.data.exclude": "[]"}


SYSTEMS = {
    "each alone": EACH,
    "one for all": many("rbp_multi"),
    "MultiRBP": many("multirbp"),
    "ResidualBind": many("residualbind"),
    "k-mer ridge": many("kmer_ridge"),
}
PEERS = ("MultiRBP", "ResidualBind")


def findings(records: Sequence[Record]) -> list[str]:
    """The paragraphs that the runs give."""
    parts = (
        what_data,
        scales,
        course_setting,
        recurrence,
        attention,
        together,
        measured_twice,
        few_probes,
        unseen,
        raw_intensities,
        lambda runs: attention_on("UGCAUG", runs, SIM_ATTENTION),
    )
    return [sentence for part in parts if (sentence := part(records))]


def what_data(records: Sequence[Record]) -> str:
    members = {
        record.result["spec"]["proteins"][0]: record.data
        for where in (FILTERS, HIDDEN, ATTENTION, SINGLE)
        for record in records
        if record.has(where)
    }
    named = [name if data == "real" else f"{name}, which is {data}" for name, data in sorted(members.items())]
    of = f"those here are of {' and '.join(named)}" if named else "those here are to be of RBP04"
    return (
        f"The figures that the reports give are of RBFOX1, whose table is not at hand; {of}. So the two "
        "cannot be compared. What can be compared is which system does better."
    )


def scales(records: Sequence[Record]) -> str:
    """Which numbers can be held against each other where some runs were taught normal scores."""
    if not any(record.has({**where, **TAUGHT_SCORES}) for where in SYSTEMS.values() for record in records):
        return ""
    return (
        "Some systems are taught normal scores of the intensities. Their losses and their Pearson correlations are of these, and cannot be "
        "compared with those of intensities; Spearman's correlation, which knows the order alone, can. A loss gap is on the scale of the "
        "row's own loss."
    )


def course_setting(records: Sequence[Record]) -> str:
    if not (runs := select(records, COURSE_LSTM)):
        return ""
    epochs = max(int(record.result["epochs"]) for record in runs)
    less = f" (the course: {COURSE_LSTM_EPOCHS})" * (epochs != COURSE_LSTM_EPOCHS)
    course = mean(records, COURSE_LSTM, SPEARMAN)
    gain = mean(records, {**SINGLE, "model": "rbp_bilstm"}, SPEARMAN) - course
    more = "" if math.isnan(gain) else f" A larger learning rate that rises and falls, and both poolings, change it by {gain:+.3f}."
    return f"R6 at the course's setting was trained for {epochs} epochs{less} and has a test Spearman of {course:.3f}.{more}"


def recurrence(records: Sequence[Record]) -> str:
    said = []
    for what, cnn, lstm in (
        ("at the course's settings", COURSE_CNN, COURSE_LSTM),
        ("under one recipe", {**SINGLE, "model": "rbp_cnn"}, {**SINGLE, "model": "rbp_bilstm"}),
    ):
        gain = mean(records, lstm, SPEARMAN) - mean(records, cnn, SPEARMAN)
        if not math.isnan(gain):
            said.append(f"{gain:+.3f} {what}")
    return f"The Bi-LSTM against the single convolution, in test Spearman: {', '.join(said)}." if said else ""


def attention(records: Sequence[Record]) -> str:
    said = []
    for label, kind in (("mean pooling", "none"), ("attention pooling", "pool"), ("self-attention", "multihead")):
        where = {**ATTENTION, "model.attention": kind}
        if not math.isnan(value := mean(records, where, SPEARMAN)):
            when = passing([curve for record in select(records, where) if (curve := record.curve("val/spearman"))], 0.7)
            said.append(f"{label} {when}ends at a test Spearman of {value:.3f}")
    return f"On the validation split, in the mean over the seeds, {'; '.join(said)}." if said else ""


def passing(curves: Sequence[Sequence[float]], threshold: float) -> str:
    """When the curves of several seeds pass a threshold, in the mean over those that do, to begin a sentence with; empty without any."""
    if not curves:
        return ""
    epochs = [epoch for curve in curves if (epoch := passes(curve, threshold)) < math.inf]
    if not epochs:
        return f"never passes {threshold:.2f} and "
    some = f" in {len(epochs)} of {len(curves)} runs, never in the others," * (len(epochs) < len(curves))
    return f"passes {threshold:.2f} after {fmean(epochs):.1f} epochs{some} and "


def together(records: Sequence[Record]) -> str:
    """Many proteins at once against each alone and against the peers."""
    found = {system: by_part(SPEARMAN, records, where) for system, where in SYSTEMS.items()}
    ours, said = found.pop("one for all"), []
    for system, values in found.items():
        common = sorted((ours.keys() & values.keys()) - {*UNRELIABLE})
        if common:
            gains = [ours[name] - values[name] for name in common]
            better = sum(gain > 0 for gain in gains)
            by_protein = f"{min(gains):+.4f} to {max(gains):+.4f} by protein, better on {better} of {len(common)}"
            said.append(f"{fmean(gains):+.3f} against {system} ({by_protein})")
    if not said:
        return ""
    by_muon = any(record.has({**SYSTEMS[peer], "optim.optimizer._target_": "dlhw.muon.Muon"}) for peer in PEERS for record in records)
    return (
        f"One network for all proteins, in mean test Spearman over the proteins but {' and '.join(UNRELIABLE)}: {', '.join(said)}."
        + recipes(records)
        + seeds_alone(records)
        + f" {PEERS[0]} has far fewer filters and hidden units here than in its paper." * (PEERS[0] in found and bool(found[PEERS[0]]))
        + f" {' and '.join(PEERS)} learn the same targets by the same optimizer, Muon, in the place of their papers' Adam." * by_muon
    )


def recipes(records: Sequence[Record]) -> str:
    """A sentence on how the networks for one protein were taught in another way than the one for all."""
    alone, for_all = (
        sorted({_recipe(record) for record in records if record.has(SYSTEMS[system])}) for system in ("each alone", "one for all")
    )
    if not alone or not for_all or alone == for_all:
        return ""
    return f" The networks for one protein were taught by {' or '.join(alone)}, the one for all by {' or '.join(for_all)}."


def _recipe(record: Record) -> str:
    optimizer = record.settings["optim.optimizer._target_"].rpartition(".")[2]
    return f"{optimizer} for {record.result['epochs']} epochs of batches of {record.settings['task.data.batch_size']}"


def seeds_alone(records: Sequence[Record]) -> str:
    """A sentence on how many of the networks for one protein were trained once, and on what seeds change in the others."""
    scores: dict[str, list[float]] = {}
    for record in records:
        if record.has(SYSTEMS["each alone"]):
            scores.setdefault(record.result["spec"]["proteins"][0], []).append(quantity(record, SPEARMAN))
    once = sum(len(values) == 1 for values in scores.values())
    if not once:
        return ""
    spans = [max(values) - min(values) for values in scores.values() if len(values) > 1]
    differ = f"; where there are several seeds, they differ by up to {max(spans):.4f}" if spans else ""
    return f" {once} of the {len(scores)} networks for one protein were trained with one seed{differ}."


def measured_twice(records: Sequence[Record]) -> str:
    """How well the measurement agrees with itself, where test probes were measured twice, and what that allows.

    Two measurements with errors of their own correlate with each other by the square of what a predictor without error would reach with one
    of them (Spearman, Am. J. Psychol. 1904; exact for Pearson's correlation, and about so for Spearman's).
    """
    ours, second = (by_part(f"{SPEARMAN}_{what}", records, EACH) for what in ("measured_twice", "second_measurement"))
    names = sorted((ours.keys() & second.keys()) - {*UNRELIABLE})
    if not names:
        return ""
    as_good = ", ".join(name for name in names if ours[name] >= second[name]) or "none of them"
    return (
        "On the test probes that were measured twice, one measurement foretells the other with a Spearman's correlation of "
        f"{fmean(second[name] for name in names):.3f}, the network for one protein with {fmean(ours[name] for name in names):.3f} "
        f"(mean over {len(names)} protein{'s' * (len(names) > 1)}). As good as a second measurement it is for {as_good}. If the errors of "
        "the two are independent, a predictor that makes none would reach the square root of what they agree by, "
        f"{fmean(math.sqrt(max(second[name], 0)) for name in names):.3f}."
    )


def few_shot_scores(records: Sequence[Record]) -> Scores | None:
    """The runs of the few-shot experiment; None where there are none, or no single figure can be made of them."""
    try:
        return scores([record for record in records if record.has(FEW_SHOT)])
    except UserError:
        return None


def few_probes(records: Sequence[Record]) -> str:
    if not (found := few_shot_scores(records)):
        return ""
    alone, adapted = found.values[SCRATCH], found.values[ADAPTED]
    said = [f"{n:,} probes {fmean(adapted[n]):.3f} against {fmean(alone[n]):.3f}" for n in sorted(alone.keys() & adapted.keys())]
    return f"Started from a network of other proteins against from scratch ({found.title}): {', '.join(said)}." if said else ""


def unseen(records: Sequence[Record]) -> str:
    said = []
    for what, where in (("single proteins", UNSEEN), ("whole families", CLUSTER)):
        dual = {**where, "model": "rbp_dual_encoder"}
        reached, nearest, average = (mean(records, dual, f"{SPEARMAN}{answer}") for answer in ("", "_nearest_protein", "_mean_protein"))
        if not math.isnan(reached):
            others = f"; what was measured of the nearest protein {nearest:.3f}, of the mean protein {average:.3f}"
            said.append(f"With {what} held out the dual encoder reaches {reached:.3f}{'' if math.isnan(average) else others}.")
    if not said:
        return ""
    return (
        f"{' '.join(said)} This is shown on simulated proteins only: their binding motif is a function of their amino acids, by "
        "construction, so it shows that the network can learn such a rule and not that real proteins follow one. It reads words of "
        "amino acids that many proteins have and not all; in this world these are mostly the ones around the amino acids that decide."
    )


def raw_intensities(records: Sequence[Record]) -> str:
    runs = select(records, {**RAW, "model": "rbp_multi"})
    if not runs:
        return ""
    scale = "normal scores of them, which keep nothing but their order," if runs[0].settings["task.data.normal_scores"] else "they"
    return (
        f"The intensities of A1CF and ANKHD1 are not on a scale of logarithms and have a long tail: {scale} are learnt. Missing values "
        "count nowhere."
    )
