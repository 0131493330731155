"""Chapter E: phonemes to graphemes, without attention, with it, and with nucleus sampling (R12 to R14)."""

from collections.abc import Sequence
from typing import Any

from dlhw.explain.views import ATTENTION, GIVEN, attention_figure
from dlhw.report.build import estimate
from dlhw.report.document import Figure, Table
from dlhw.report.parts.texts import cer_by_length, confusions_table, errors_table, percent, texts_of, thirds
from dlhw.report.parts.views import view_figure
from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row
from dlhw.report.quantities import mean, quantity
from dlhw.report.runs import Record, select

NONE = {"experiment": "p2g/attention", "model.attention": "none"}
BAHDANAU = {"experiment": "p2g/attention", "model.attention": "bahdanau"}
DOT = {"experiment": "p2g/attention", "model.attention": "dot"}
SHORT = ["trainer.max_epochs=2", "trainer.steps_per_epoch=20"]
DECODE = ["dlhw.decode", "{folder}", "--data-root", "{data_root}"]
NUCLEUS = [*DECODE, "task.decode.method=nucleus", "task.decode.p=0.8", "task.decode.k=3"]
BEAM = [*DECODE, "model.attention=bahdanau", "task.decode.method=beam"]
# Of no data set; the made-up language has their phones as well.
LOOK = ["dlhw.explain", "run={run}", "output={run}/explain/report", "input=f o ʊ t ə ɡ ɹ æ f,n e ɪ ʃ ə n,k w ɪ k l i,t͡ʃ ɪ l d ɹ ə n"]
MADE_UP: dict[str, Any] = {"data": "p2g", "embedded": ["task=p2g_sim"]}


def of_beam(kind: str) -> list[Metric]:
    return [Metric(f"{kind}(test_beam/{name})", name.upper()) for name in ("cer", "wer", "wer@3")]


R12 = Row("R12", "no attention, greedy", NONE, {"test/cer": [0.2926, 0.2992, 0.3317], "test/wer": [0.795, 0.797, 0.832]})
R13 = Row("R13", "Bahdanau attention, greedy", BAHDANAU, {"test/cer": [0.2410, 0.2033, 0.2082], "test/wer": [0.784, 0.716, 0.714]})
R14 = Row(
    "R14",
    "Bahdanau attention, nucleus 0.8",
    BAHDANAU,
    {"decoded(test_nucleus/cer)": [0.2594, 0.2242, 0.2340], "decoded(test_nucleus/wer)": [0.817, 0.766, 0.757]}
    | {"decoded(test_nucleus/wer@3)": [0.739, 0.634, 0.652]},
    metrics=[Metric(f"decoded(test_nucleus/{name})", name.upper()) for name in ("cer", "wer", "wer@3")],
)
R13_BEAM = Row("R13b", "Bahdanau attention, beam of 10", BAHDANAU, metrics=of_beam("decoded"))
DOT_ROW = Row("dot", "dot-product attention, greedy", DOT)
BEST_ROW = Row(
    "best",
    "the best single network found here, beam of 10",
    {"experiment": "p2g/p2g_best"},
    metrics=[Metric(f"test/{name}", name.upper()) for name in ("cer", "wer", "wer@3")],
)
R13_ALL = Row("R13e", "ensemble: the seeds of R13 as one, beam of 10", BAHDANAU, metrics=of_beam("ensemble"))
BEST_ALL = Row("best-e", "ensemble: the seeds of the best as one, beam of 10", BEST_ROW.where, metrics=of_beam("ensemble"))


def tables(records: Sequence[Record]) -> list[Table]:
    rows = [R12, R13, DOT_ROW, BEST_ROW]
    return [*errors_table(PLAN, rows, records, "words"), *confusions_table(PLAN, [R13, BEST_ROW], records)]


def drawings(records: Sequence[Record]) -> list[Figure]:
    """Where networks look as they spell words that are of no data set."""
    what = "where the network looks as it spells {} words, which are of no data set; white is 0, the darkest blue 1."
    return [
        figure
        for row in (R13, BEST_ROW)
        for figure in view_figure(f"{PLAN.name}-attention-{row.id}", row, records, f"{GIVEN}/{ATTENTION}", attention_figure, what)
    ]


def discussion(records: Sequence[Record]) -> list[str]:
    """What attention, sampling, beams and ensembles have done, in numbers, as far as the runs are there."""

    def mean_of(row: Row, name: str) -> float:
        return mean(records, row.where, name)

    lines = []
    plain, attentive, dot = (mean_of(row, "test/cer") for row in (R12, R13, DOT_ROW))
    if plain > 0 and attentive > 0:
        lines.append(
            f"Attention takes the share of wrong characters from {percent(plain)} to {percent(attentive)}, by "
            f"{percent(1 - attentive / plain, 0)} of what it was"
            + (f"; the dot product of states in the place of Bahdanau's small network gives {percent(dot)}." if dot > 0 else ".")
        )
    lines += [
        text for row in (R12, R13, R14) for metric in row.metrics or PLAN.metrics if (text := short_of_the_best(row, metric, records))
    ]
    without, with_it = (texts_of(select(records, row.where)) for row in (R12, R13))
    if without[0] and with_it[0]:
        bounds = thirds(without)
        (short, _, long), (short_with, _, long_with) = (cer_by_length(texts, bounds) for texts in (without, with_it))
        lines.append(
            f"Without attention one state has to hold the whole word: {percent(short)} wrong characters in words of up to {bounds[0]} "
            f"letters, {percent(long)} in those of more than {bounds[1]}. With attention it is {percent(short_with)} and "
            f"{percent(long_with)}."
        )
    right = 1 - mean_of(R13, "test/wer")
    drawn, drawn_best = (mean_of(R14, f"decoded(test_nucleus/{name})") for name in ("cer", "wer@3"))
    if attentive > 0 and drawn > 0:
        of_three = mean_of(R13_BEAM, "decoded(test_beam/wer@3)")
        lines.append(
            f"A spelling drawn from the nucleus has {percent(drawn)} wrong characters, the greedy one {percent(attentive)}. One of three "
            f"that are drawn is right for {percent(1 - drawn_best)} of the words, the greedy one for {percent(right)}"
            + (f", one of the best three of a beam for {percent(1 - of_three)}." if of_three > 0 else ".")
        )
    best, words, of_three = (mean_of(BEST_ROW, f"test/{name}") for name in ("cer", "wer", "wer@3"))
    if best > 0:
        lines.append(
            "The best single network writes each letter from one phone, never goes back, and sums over all such paths. It makes "
            f"{percent(best)} wrong characters and {percent(words)} wrong words, and one of the best three spellings of its beam is right "
            f"for {percent(1 - of_three)} of the words. It has seen the training words and nothing else."
        )
    for row in (R13_ALL, BEST_ALL):
        together, words, members = (mean_of(row, f"ensemble(test_beam/{name})") for name in ("cer", "wer", "members"))
        if members > 1:
            lines.append(
                f"{row.id}, {members:.0f} networks as one: {percent(together)} wrong characters and {percent(words)} "
                f"wrong words. One of them alone, as it was tested, makes {percent(mean_of(row, 'test/cer'))} and "
                f"{percent(mean_of(row, 'test/wer'))}."
            )
    return lines


def short_of_the_best(row: Row, metric: Metric, records: Sequence[Record]) -> str:
    """Where the best reported figure lies below the interval of ours: what it may be of; otherwise nothing."""
    found, best = estimate(row, metric, records), min(row.reported.get(metric.quantity, [0.0]))
    if found is None or found.low is None or found.over != "seeds" or best >= found.low:
        return ""
    seeds = sorted(quantity(record, metric.quantity) for record in select(records, row.where))
    return (
        f"The best group reports {best:.4f} for {row.id} ({metric.label}), less than the interval of our mean. That is one run, and the "
        f"best of {len(row.reported[metric.quantity])}; our single runs go from {seeds[0]:.4f} to {seeds[-1]:.4f}, the groups' from "
        f"{best:.4f} to {max(row.reported[metric.quantity]):.4f}."
    )


PLAN = Plan(
    name="p2g",
    title="E. Phonemes to graphemes",
    asked=[
        "English words are given as they are pronounced, in the International Phonetic Alphabet, and are to be spelt. A recurrent encoder "
        "and decoder learn it from 10,000 words, with and without attention over the phones.",
        "Does attention lower the share of wrong characters and words? What does drawing spellings from the nucleus of the "
        "distribution cost, and what does it gain where one of three drawn spellings has to be right?",
        "Some pronunciations have several spellings (114 of the 1,000 test words in the full WikiPron), so none can be right throughout.",
    ],
    experiments=[
        Experiment(["experiment=p2g/attention"], [*SHORT, "seed=42"], [NUCLEUS, BEAM, [*BEAM, "--ensemble"], LOOK], **MADE_UP),
        Experiment(
            ["experiment=p2g/p2g_best", "task=p2g", "model=p2g_best"], [*SHORT, "seed=0"], [[*DECODE, "--ensemble"], LOOK], **MADE_UP
        ),
    ],
    rows=[R12, R13, R14, R13_BEAM, DOT_ROW, BEST_ROW, R13_ALL, BEST_ALL],
    metrics=[Metric("test/cer", "CER"), Metric("test/wer", "WER")],
    more=[
        Metric("val/cer", "validation CER, greedy"),
        Metric("params", "parameters", 0),
        Metric("train_seconds", "training (s)", 0, interval=False),
    ],
    curves=[
        Curves(
            "curves",
            "Training loss and validation CER over the epochs: mean over the seeds, band from the smallest to the largest.",
            [("train/loss", "training loss (nats a symbol)"), ("val/cer", "validation CER (edits a character)")],
            ["R12", "R13", "dot"],
        )
    ],
    tables=tables,
    drawings=drawings,
    discussion=discussion,
)
