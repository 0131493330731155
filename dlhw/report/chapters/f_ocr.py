"""Chapter F: printed lines, by CTC and by an attention decoder (R15, R16)."""

from collections.abc import Sequence
from statistics import fmean

from dlhw import figures
from dlhw.edit_distance import confusions
from dlhw.explain.views import ATTENTION, POSTERIORS, over_line_figure
from dlhw.report.document import Figure, Table
from dlhw.report.parts.texts import LONG, Texts, cer_by_length, confusions_table, errors, errors_table, percent, texts_of, thirds
from dlhw.report.parts.views import FOR_REPORT, view_figure
from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row
from dlhw.report.quantities import mean
from dlhw.report.runs import Record, select
from dlhw.run_folder import EXPLAINED

LINES = {"experiment": "ocr/ctc_vs_attention"}
SHORT = ["trainer.max_epochs=1", "trainer.steps_per_epoch=10", "seed=0"]
DECODE = ["dlhw.decode", "{folder}", "--data-root", "{data_root}"]
BEAM = [*DECODE, "task.decode.method=beam"]
LANGUAGE = [*BEAM, "model=crnn_ctc", "task.decode.lm_weight=0.2"]  # chosen on the validation split
WITH_LANGUAGE = "test_beam_lm_weight-0.2"
LOOK = ["dlhw.explain", "run={run}", "output={run}/explain/report", "data_root={data_root}", "lines=4"]


def scores(kind: str) -> list[Metric]:
    return [Metric(kind.format(name), name.upper()) for name in ("cer", "wer")]


R15 = Row("R15", "CTC, greedy", {**LINES, "model": "crnn_ctc"})
R15_BEAM = Row("R15b", "CTC, beam of 10", R15.where, metrics=scores("decoded(test_beam/{})"))
R15_LANGUAGE = Row(
    "R15l", "CTC, beam of 10, language model of the training texts", R15.where, metrics=scores(f"decoded({WITH_LANGUAGE}/{{}})")
)
R16 = Row("R16", "Bahdanau attention, greedy", {**LINES, "model": "ocr_seq2seq"})
R16_BEAM = Row("R16b", "Bahdanau attention, beam of 10", R16.where, metrics=scores("decoded(test_beam/{})"))
R16_AFTER = Row("R16c", "Bahdanau attention on the encoder of R15, greedy", {"experiment": "ocr/attention_after_ctc"})
R16_AFTER_BEAM = Row(
    "R16d", "Bahdanau attention on the encoder of R15, beam of 10", R16_AFTER.where, metrics=scores("decoded(test_beam/{})")
)
R16_NONE = Row("R16a", "decoder without attention, greedy", {**LINES, "model": "ocr_seq2seq_none"})
DIGITS = Row("digits", "CTC on composed lines of digits", {"experiment": "ocr_digits/crnn_ctc"})
DIGITS_16 = Row("digits-a", "Bahdanau attention on composed lines of digits", {"experiment": "ocr_digits/ocr_seq2seq"})
VOTE = Row(
    "R15e",
    "ensemble: the seeds of R15 vote, with the language model",
    R15.where,
    {f"ensemble({WITH_LANGUAGE}/cer)": [0.025]},
    comparable=False,
    metrics=scores(f"ensemble({WITH_LANGUAGE}/{{}})"),
)


def tables(records: Sequence[Record]) -> list[Table]:
    found = [*books_table(records), *errors_table(PLAN, [R15, R16, R16_AFTER, R16_NONE], records, "lines")]
    return [*found, *confusions_table(PLAN, [R15, R16], records)]


def of_books(record: Record, metric: str, decoded: str = "") -> dict[str, float]:
    """A metric of a run on each book, and on all together under the empty name."""
    measured = record.decoded(decoded) if decoded else record.result["test"]
    if not decoded and not any(":" in name for name in measured):  # of an older run
        measured = record.decoded("test_greedy")
    return {name.partition(":")[2]: value for name, value in measured.items() if name.partition(":")[0] == metric}


def mean_of_books(row: Row, metric: str, records: Sequence[Record], decoded: str = "") -> dict[str, float]:
    """The mean over a row's runs of :func:`of_books`."""
    found = [of_books(record, metric, decoded) for record in select(records, row.where)]
    return {book: fmean(run[book] for run in found if book in run) for book in dict.fromkeys(book for run in found for book in run)}


def books_table(records: Sequence[Record]) -> list[Table]:
    """A line for each book and a last one for all: CER and WER of each system, the mean over its seeds; no table without any."""
    systems = [
        (row, decoded, metric) for row, decoded in ((R15, ""), (R15_LANGUAGE, WITH_LANGUAGE), (R16, "")) for metric in ("cer", "wer")
    ]
    cells = [mean_of_books(row, metric, records, decoded) for row, decoded, metric in systems]
    books = sorted({book for column in cells for book in column if book})
    if not books:
        return []
    rows = [[book or "all", *(f"{column[book]:.4f}" if book in column else "-" for column in cells)] for book in [*books, ""]]
    columns = ["book", *(f"{row.id} {metric.upper()}" for row, _, metric in systems)]
    return [Table(f"{PLAN.name}-books", f"{PLAN.title}: each book, mean over the seeds.", columns, rows)]


def drawings(records: Sequence[Record]) -> list[Figure]:
    """What CTC and attention see on lines of digits, which come with the project."""
    lines = "for {} test lines of handwritten digits; white is 0, the darkest blue 1."
    found = [
        figure
        for row, folder, what in (
            (DIGITS, POSTERIORS, f"the probability of each letter and of the blank over the line, {lines}"),
            (DIGITS_16, ATTENTION, f"where the decoder looks, {lines}"),
        )
        for figure in view_figure(f"{PLAN.name}-{row.id}", row, records, folder, over_line_figure, what)
    ]
    for record in select(records, DIGITS.where)[:1]:
        if (stored := record.folder / EXPLAINED / FOR_REPORT / "worst.png").exists():
            text = (
                f"{DIGITS.id}: the test lines with the highest error rate (seed {record.seed}); above each its number, what stands on it "
                "and what was read."
            )
            found.append(Figure(f"{PLAN.name}-worst", text, figures.stored_figure(stored)))
    return found


def discussion(records: Sequence[Record]) -> list[str]:
    """How far CTC and attention are apart and why, and what beam, language model and vote add, as far as the runs are there."""

    def mean_of(row: Row, name: str) -> float:
        return mean(records, row.where, name)

    lines = []
    ctc, attention, none, after = (mean_of(row, "test/cer") for row in (R15, R16, R16_NONE, R16_AFTER))
    if ctc > 0 and attention > 0:
        lines.append(
            f"CTC makes {percent(ctc)} wrong characters, the decoder with attention {percent(attention)}"
            + (f", the one without {percent(none)}." if none > 0 else ".")
            + " Encoder, recipe and number of epochs are the same."
        )
    if attention > 0 and after > 0:
        epochs = [max(int(record.result["epochs"]) for record in select(records, row.where)) for row in (R15, R16_AFTER)]
        lines.append(
            f"Where the encoder has learnt by CTC for {epochs[0]} epochs before, the decoder with attention makes {percent(after)} wrong "
            f"characters after {epochs[1]} more."
            + " CTC sums over all alignments of letters and steps and goes from left to right; attention has to find the places by itself, "
            "which it learns once the encoder's states tell the letters apart." * (after < attention)
        )
    lines += gap(*(texts_of(select(records, row.where)) for row in (R15, R16)))
    names = ("decoded(test_beam/{})", f"decoded({WITH_LANGUAGE}/{{}})", f"ensemble({WITH_LANGUAGE}/{{}})")
    beam, language, vote = (mean_of(R15, name.format("cer")) for name in names)
    members = mean_of(R15, names[2].format("members"))
    if beam > 0 and language > 0:
        lines.append(
            f"A beam of 10 in the place of the best path takes CTC from {percent(ctc, 2)} to {percent(beam, 2)}; with a language model of "
            f"letters, counted from the training texts, it makes {percent(language, 2)}."
        )
    if members > 1:
        lines.append(
            f"{members:.0f} networks that vote on whole texts make {percent(vote, 2)}. Reul and others (2017) report "
            "2.5 % for OCRopus with pretraining and voting on six such books, from 60 lines a book and with a model for each; here one "
            "model reads all seven. The lines are not the same, so the two figures do not compare exactly."
        )
    mine, other = (mean_of_books(row, "cer", records) for row in (R15, R16))
    if books := sorted((share, book) for book, share in mine.items() if book):
        text = f"Of the books CTC reads {books[0][1]} best ({percent(books[0][0])}) and {books[-1][1]} worst ({percent(books[-1][0])})"
        common = [(share, other[book]) for share, book in books if book in other]
        ahead = f"; it is ahead of attention in {sum(share < of_other for share, of_other in common)} of {len(common)}" if common else ""
        lines.append(f"{text}{ahead}.")
    return lines


def gap(ctc: Texts, attention: Texts) -> list[str]:
    """Where the difference between the two comes from, by their texts; nothing where they are not stored."""
    if not ctc[0] or not attention[0]:
        return []
    mine, other, bounds = errors(ctc), errors(attention), thirds(ctc)
    (short, _, long), (other_short, _, other_long) = (cer_by_length(texts, bounds) for texts in (ctc, attention))
    letters = confusions(*ctc)
    spaces = sum(times for pair, times in letters.items() if " " in pair) / max(letters.total(), 1)
    return [
        f"Where they differ: of the attention decoder's edits {percent(other.long / max(other.edits, 1), 0)} stand together, {LONG} or "
        f"more at a place, of CTC's {percent(mine.long / max(mine.edits, 1), 0)}. At such places a decoder has lost its place on the line, "
        f"and skips or invents a piece; CTC answers at every step of the line in turn. All other edits are "
        f"{percent(other.share(other.edits - other.long))} of the characters with attention and "
        f"{percent(mine.share(mine.edits - mine.long))} with CTC, where {percent(spaces, 0)} of the edits leave out a "
        "space or put one in.",
        f"On lines of up to {bounds[0]} letters CTC makes {percent(short)} wrong characters and attention {percent(other_short)}; on those "
        f"of more than {bounds[1]}, {percent(long)} and {percent(other_long)}.",
    ]


PLAN = Plan(
    name="ocr",
    title="F. Printed lines",
    asked=[
        "Lines of seven books printed between 1476 and 1572 are to be read: one model is trained for all books. One "
        "convolutional and recurrent encoder serves two ways of writing: connectionist temporal classification (CTC), which aligns "
        "letters and positions, and a decoder with attention, which writes letter by letter.",
    ],
    experiments=[
        Experiment(
            ["experiment=ocr/ctc_vs_attention"],
            SHORT,
            [BEAM, LANGUAGE, [*LANGUAGE, "--ensemble"]],
            data="ocr/earlyprint",
            embedded=["task=ocr_digits", "~task.data.path"],  # a folder of lines is no knob of lines that are composed
        ),
        # In need of the full CTC runs, so the quick report goes without.
        Experiment(["experiment=ocr/attention_after_ctc"], None, [BEAM], data="ocr/earlyprint"),
        *(
            Experiment(["task=ocr_digits", f"model={model}"], ["trainer.max_epochs=2", "seed=0"], [LOOK])
            for model in ("crnn_ctc", "ocr_seq2seq")
        ),
    ],
    rows=[R15, R15_BEAM, R15_LANGUAGE, R16, R16_BEAM, R16_AFTER, R16_AFTER_BEAM, R16_NONE, DIGITS, DIGITS_16, VOTE],
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
            ["R15", "R16", "R16c", "R16a"],
        )
    ],
    tables=tables,
    drawings=drawings,
    discussion=discussion,
)
