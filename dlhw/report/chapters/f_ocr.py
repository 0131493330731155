"""Chapter F: printed lines, by CTC and by an attention decoder (R15, R16)."""

from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row

LINES = {"experiment": "ocr/ctc_vs_attention"}
SHORT = ["trainer.max_epochs=1", "trainer.steps_per_epoch=10", "seed=0"]
BEAM = ["dlhw.decode", "{folder}", "task.decode.method=beam", "task.decode.width=10"]

PLAN = Plan(
    name="ocr",
    title="F. Printed lines",
    asked=[
        "Lines of seven books printed between 1476 and 1572 are to be read: 735 lines train one model for all books, 210 test it. One "
        "convolutional and recurrent encoder serves two ways of writing: connectionist temporal classification (CTC), which aligns "
        "letters and positions, and a decoder with attention, which writes letter by letter.",
    ],
    experiments=[
        Experiment(["experiment=ocr/ctc_vs_attention"], SHORT, [BEAM]),
        Experiment(["task=ocr_digits", "model=crnn_ctc"], ["trainer.max_epochs=2", "seed=0"]),
    ],
    rows=[
        Row("R15", "CTC, greedy", {**LINES, "model": "crnn_ctc"}),
        Row("R16", "Bahdanau attention, greedy", {**LINES, "model": "ocr_seq2seq"}),
        Row("R16a", "decoder without attention, greedy", {**LINES, "model": "ocr_seq2seq_none"}),
        Row("digits", "CTC on composed lines of digits", {"experiment": "ocr_digits/crnn_ctc"}),
    ],
    metrics=[Metric("test/cer", "CER"), Metric("test/wer", "WER"), Metric("decoded(test_beam/cer)", "CER, beam of 10")],
    more=[Metric("val/cer", "validation CER"), Metric("params", "parameters", 0), Metric("train_seconds", "training (s)", 0)],
    curves=[
        Curves(
            "curves",
            "Training loss and validation CER over the epochs: mean over the seeds, band from the smallest to the largest.",
            [("train/loss", "training loss (nats)"), ("val/cer", "validation CER (edits a character)")],
            ["R15", "R16", "R16a"],
        )
    ],
)
