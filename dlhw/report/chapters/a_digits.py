"""Chapter A2: the questions of chapter A on handwritten digits, which come with the project and take seconds."""

from dlhw.report.chapters.a_bloodmnist import METRICS, MORE, curves, discussion, drawings
from dlhw.report.plan import Experiment, Metric, Plan, Row

SOFTMAX = {"experiment": "digits/softmax"}
PRECISION = {"experiment": "digits/precision"}
ROWS = (
    Row("D1", "no pooling, logits", {**SOFTMAX, "model.pool": "none", "model.softmax": "none"}),
    Row("D2", "no pooling, softmax", {**SOFTMAX, "model.pool": "none", "model.softmax": "output"}),
    Row("D3", "max-pooling, logits", {**SOFTMAX, "model.pool": "max", "model.softmax": "none"}),
    Row("D4", "max-pooling, softmax", {**SOFTMAX, "model.pool": "max", "model.softmax": "output"}),
)
ACCURACY = [Metric("test/acc", "test accuracy")]

PLAN = Plan(
    name="digits",
    title="A2. The same questions on digits",
    asked=[
        "Chapter A takes hours. Its questions, what a second softmax and max-pooling do, can be put to pictures of 8 by 8 pixels as well, "
        "1,797 handwritten digits that come with scikit-learn: seconds a run, on any computer.",
        "One more question is asked here: does training in bf16 cost accuracy?",
    ],
    experiments=[
        Experiment(["experiment=digits/softmax", "seed=0,1,2,3,4"], ["trainer.max_epochs=5", "seed=0"]),
        Experiment(["experiment=digits/precision"], ["trainer.max_epochs=2", "seed=0"]),
    ],
    rows=[
        *ROWS,
        Row("fp32", "max-pooling, trained longer, fp32", {**PRECISION, "trainer.precision": "32-true"}, metrics=ACCURACY),
        Row("bf16", "max-pooling, trained longer, bf16-mixed", {**PRECISION, "trainer.precision": "bf16-mixed"}, metrics=ACCURACY),
    ],
    metrics=METRICS,
    more=MORE,
    curves=[curves(ROWS, 10)],
    drawings=drawings(ROWS, ROWS[0]),
    discussion=discussion(ROWS, 10),
)
