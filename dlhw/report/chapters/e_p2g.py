"""Chapter E: phonemes to graphemes, without attention, with it, and with nucleus sampling (R12 to R14)."""

from dlhw.report.plan import Curves, Experiment, Metric, Plan, Row

NONE = {"experiment": "p2g/attention", "model.attention": "none"}
BAHDANAU = {"experiment": "p2g/attention", "model.attention": "bahdanau"}
DOT = {"experiment": "p2g/attention", "model.attention": "dot"}
SHORT = ["trainer.max_epochs=2", "trainer.steps_per_epoch=20"]
NUCLEUS = ["dlhw.decode", "{folder}", "task.decode.method=nucleus", "task.decode.p=0.8", "task.decode.k=3"]

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
        Experiment(["experiment=p2g/attention"], [*SHORT, "seed=42"], [NUCLEUS]),
        Experiment(["task=p2g", "model=p2g_best"], [*SHORT, "seed=0"]),
    ],
    rows=[
        Row("R12", "no attention, greedy", NONE, {"test/cer": [0.2926, 0.2992, 0.3317], "test/wer": [0.795, 0.797, 0.832]}),
        Row("R13", "Bahdanau attention, greedy", BAHDANAU, {"test/cer": [0.2410, 0.2033, 0.2082], "test/wer": [0.784, 0.716, 0.714]}),
        Row(
            "R14",
            "Bahdanau attention, nucleus 0.8",
            BAHDANAU,
            {"decoded(test_nucleus/cer)": [0.2594, 0.2242, 0.2340], "decoded(test_nucleus/wer)": [0.817, 0.766, 0.757]}
            | {"decoded(test_nucleus/wer@3)": [0.739, 0.634, 0.652]},
            metrics=[
                Metric("decoded(test_nucleus/cer)", "CER"),
                Metric("decoded(test_nucleus/wer)", "WER"),
                Metric("decoded(test_nucleus/wer@3)", "WER@3"),
            ],
        ),
        Row("dot", "dot-product attention, greedy", DOT),
        Row("best", "the best network found here, beam of 10", {"experiment": "p2g/p2g_best"}),
    ],
    metrics=[Metric("test/cer", "CER"), Metric("test/wer", "WER")],
    more=[
        Metric("val/cer", "validation CER"),
        Metric("params", "parameters", 0),
        Metric("train_seconds", "training (s)", 0),
    ],
    curves=[
        Curves(
            "curves",
            "Training loss and validation CER over the epochs: mean over the seeds, band from the smallest to the largest.",
            [("train/loss", "training loss (nats a symbol)"), ("val/cer", "validation CER (edits a character)")],
            ["R12", "R13", "dot"],
        )
    ],
)
