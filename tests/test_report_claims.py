"""Claims and their verdicts, on results made up for the purpose."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlhw.config import CONF
from dlhw.errors import UserError
from dlhw.report.chapters import plans
from dlhw.report.claims import Claim, judge, load_claims
from dlhw.report.quantities import passes, quantity, spikes
from dlhw.report.runs import Record, left_aside, own_task, select


def record(seed: int, acc: float, *, folder: Path = Path("nowhere"), **settings: Any) -> Record:
    layers = [{"name": "head", "what": "Linear", "params": 10}]
    result = {"seed": seed, "test": {"acc": acc}, "params": 7, "task": "x", "experiment": "x/y", "layers": layers}
    return Record(folder, result, settings)


def runs(kind: str, values: list[float]) -> list[Record]:
    return [record(seed, value, kind=kind) for seed, value in enumerate(values)]


def claim(**changed: Any) -> Claim:
    given = {"id": "T1", "chapter": "t", "text": "t", "quantity": "test/acc", "of": {"kind": "a"}, "than": {"kind": "b"}}
    return Claim(**{**given, "expect": "higher", "matters": 0.01, **changed})


HIGH, LOW, NEAR, WILD = [0.95, 0.96, 0.97], [0.90, 0.92, 0.91], [0.951, 0.961, 0.969], [0.99, 0.80, 0.97]


@pytest.mark.parametrize(
    ("expect", "first", "second", "outcome"),
    [
        ("higher", HIGH, LOW, "holds"),
        ("higher", LOW, HIGH, "does not hold"),
        ("higher", HIGH, NEAR, "does not hold"),  # no difference that matters
        ("higher", WILD, LOW, "undecided"),
        ("lower", LOW, HIGH, "holds"),
        ("lower", HIGH, LOW, "does not hold"),
        ("same", HIGH, NEAR, "holds"),
        ("same", HIGH, LOW, "does not hold"),
        ("same", WILD, LOW, "undecided"),
        ("higher", HIGH[:2], LOW[:2], "undecided"),  # two seeds
        ("higher", HIGH, [], "undecided"),
    ],
)
def test_comparisons(expect, first, second, outcome):
    verdict = judge(claim(expect=expect), [*runs("a", first), *runs("b", second)])
    assert verdict.outcome == outcome
    if outcome == "undecided":
        assert verdict.why


def test_effects_are_paired_and_may_be_shares():
    both = [*runs("a", HIGH), *runs("b", [value / 2 for value in HIGH])]
    verdict = judge(claim(ratio=True, matters=0.9), both)
    assert verdict.outcome == "holds" and verdict.effect is not None
    assert verdict.effect.mean == pytest.approx(1.0) and verdict.effect.n == 3
    plain = judge(claim(), both).effect
    assert plain is not None and plain.mean == pytest.approx(0.48)


def of_proteins(kind: str, seed: int, **values: float) -> Record:
    run = record(seed, 0.0, kind=kind)
    return Record(run.folder, run.result | {"test": {f"spearman:{name}": value for name, value in values.items()}}, run.settings)


def test_pairs_may_be_parts_each_the_mean_over_the_seeds():
    many = [of_proteins("a", 0, P=0.6, Q=0.7, R=0.8, X=0.0), of_proteins("a", 1, P=0.8, Q=0.7, R=0.9, X=0.0)]
    alone = [of_proteins("b", 0, **{name: value}) for name, value in {"P": 0.6, "Q": 0.58, "R": 0.73, "X": 0.9}.items()]
    verdict = judge(claim(quantity="test/spearman", over="parts", without=["X"]), [*many, *alone])
    assert verdict.effect is not None and (verdict.effect.n, verdict.effect.over, verdict.outcome) == (3, "parts", "holds")
    assert verdict.effect.mean == pytest.approx((0.1 + 0.12 + 0.12) / 3) and verdict.runs == 1
    with_all = judge(claim(quantity="test/spearman", over="parts"), [*many, *alone])
    assert with_all.outcome == "undecided" and with_all.effect is not None and with_all.effect.n == 4
    misspelt = judge(claim(quantity="test/spearman", over="parts", without=["Y"]), [*many, *alone])
    assert (misspelt.outcome, misspelt.why) == ("undecided", "no part called Y")
    unlike = judge(claim(quantity="test/spearman", over="parts"), [*many, of_proteins("b", 0, S=0.5)])
    assert (unlike.outcome, unlike.why) == ("undecided", "no common part")
    few = judge(claim(quantity="test/spearman", over="parts"), [*many, *alone[:1]])
    assert few.why == "1 part, 3 are needed"


@pytest.mark.parametrize(
    ("expect", "value", "outcome"),
    [("never_below", 0.95, "holds"), ("never_below", 0.951, "does not hold"), ("equal", 0.95, "does not hold")],
)
def test_facts_hold_for_every_run(expect, value, outcome):
    assert judge(claim(than={}, expect=expect, value=value, matters=0.0), runs("a", HIGH)).outcome == outcome


@pytest.mark.parametrize(("value", "outcome"), [(0.985, "holds"), (0.984, "undecided"), (0.936, "undecided"), (0.935, "does not hold")])
@pytest.mark.parametrize("expect", ["at_most", "at_least"])
def test_at_most_and_at_least_are_about_the_mean_and_its_interval(expect, value, outcome):
    """0.96 +- 4.303 * 0.01 / sqrt(3), and the same mirrored about 0."""
    sign = 1 if expect == "at_most" else -1
    verdict = judge(claim(than={}, expect=expect, value=sign * value, matters=0.0), runs("a", [0.95 * sign, 0.96 * sign, 0.97 * sign]))
    assert verdict.outcome == outcome and verdict.why == ("the interval is too wide" if outcome == "undecided" else "")


def test_at_most_of_what_one_run_tells_needs_no_interval():
    for value, outcome in ((10, "holds"), (9, "does not hold")):
        assert (
            judge(claim(than={}, expect="at_most", value=value, matters=0.0, quantity="layer(head)"), runs("a", [0.95])).outcome == outcome
        )


def test_facts_may_have_a_tolerance_and_be_parameters():
    assert judge(claim(than={}, expect="equal", value=0.96, matters=0.02), runs("a", HIGH)).outcome == "holds"
    for name, value in (("params", 7), ("layer(head)", 10)):
        assert judge(claim(than={}, expect="equal", value=value, matters=0.0, quantity=name), runs("a", HIGH)).outcome == "holds"


@pytest.mark.parametrize(
    "wrong",
    [
        {"expect": "better"},
        {"matters": 0.0},
        {"value": 1.0},
        {"than": {}},
        {"expect": "equal"},
        {"over": "proteins"},
        {"without": ["P"]},
        {"over": "parts", "than": {}, "expect": "equal", "value": 1.0},
    ],
)
def test_wrong_claims_are_refused(wrong):
    with pytest.raises(UserError, match="claim T1"):
        claim(**wrong)


def test_one_run_a_seed_is_selected():
    found = select([record(1, 0.1, kind="a"), record(0, 0.2, kind="a"), record(1, 0.3, kind="a"), record(2, 0.4, kind="b")], {"kind": "a"})
    assert [(run.seed, run.result["test"]["acc"]) for run in found] == [(0, 0.2), (1, 0.1)]


def test_a_run_of_other_settings_is_no_further_seed_and_is_named():
    plain = [record(seed, 0.9, kind="a", lr=0.1) for seed in range(3)]
    tried = replace(record(9, 0.1, kind="a", lr=0.5), result=record(9, 0.1).result | {"overrides": ["lr=0.5"]})
    later = record(3, 0.9, kind="a", lr=0.1, knob=1)  # a setting that the others were before
    elsewhere = record(4, 0.9, kind="a", lr=0.1, data_root="other")  # which no result depends on
    all_of_them = [tried, *plain, later, elsewhere]
    assert [run.seed for run in select(all_of_them, {"kind": "a"})] == [0, 1, 2, 3, 4]
    assert left_aside(all_of_them, {"kind": "a"}) == [tried]


def got_there(folder: Path, kind: str, seed: int, curve: list[float]) -> Record:
    place = folder / f"{kind}{seed}"
    place.mkdir()
    rows = "".join(f"{epoch},{value}\n" for epoch, value in enumerate(curve))
    (place / "metrics.csv").write_text(f"epoch,val/acc\n{rows}")
    run = record(seed, 0.0, folder=place, kind=kind)
    return replace(run, result=run.result | {"epochs": len(curve)})


def test_what_never_gets_there_is_neither_soon_nor_late(tmp_path):
    sooner = claim(quantity="passes(val/acc,0.5)", expect="lower", matters=1.0)
    low, rises = [0.1, 0.2, 0.3, 0.4], [0.5, 0.6, 0.7, 0.8]
    first = [got_there(tmp_path, "a", seed, curve) for seed, curve in enumerate([rises, rises, rises, low])]
    second = [got_there(tmp_path, "b", seed, curve) for seed, curve in enumerate([low, [0.1, 0.2, 0.5, 0.6], low, low])]
    verdict = judge(sooner, [*first, *second])
    assert verdict.outcome == "holds" and verdict.effect is not None
    assert (verdict.effect.n, verdict.effect.mean) == (3, pytest.approx(-(4 + 2 + 4) / 3))  # the fifth epoch for never; not the last seed
    neither = judge(sooner, [first[3], second[3]])
    assert (neither.outcome, neither.why) == ("undecided", "neither gets there")


def test_where_there_is_nothing_to_remove_nothing_is_removed():
    removed = claim(quantity="test/acc", expect="lower", ratio=True, matters=0.9)
    clean, few, many = runs("a", [0.0, 0.0, 0.0]), runs("a", [8.0, 9.0, 8.0]), runs("b", [10.0, 10.0, 9.0])
    assert judge(removed, clean + many).outcome == "holds"
    assert judge(removed, few + many).outcome == "does not hold"
    nothing = judge(removed, clean + runs("b", [0.0, 0.0, 0.0]))
    assert (nothing.outcome, nothing.why) == ("undecided", "none to compare with")


def test_quantities_of_curves(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,val/acc\n0,0.5\n1,0.9\n2,0.8\n3,0.95\n4,0.949\n")
    (tmp_path / "decoded").mkdir()
    (tmp_path / "decoded" / "test_beam.json").write_text(json.dumps({"test": {"cer": 0.25}}))
    run = record(0, 0.9, folder=tmp_path)
    names = ("max(val/acc)", "last(val/acc)", "spikes(val/acc)", "passes(val/acc,0.9)", "decoded(test_beam/cer)", "spikes(val/acc,0.0005)")
    assert [quantity(run, name) for name in names] == pytest.approx([0.95, 0.949, 1, 2, 0.25, 2])
    assert [value != value for value in (quantity(run, name) for name in ("max(val/loss)", "test/auc", "decoded(none/cer)"))] == [True] * 3
    assert spikes([1.0, 0.94, 0.88, 0.9, 0.86]) == 2
    assert passes([0.1, 0.2], 0.5) == math.inf
    for wrong in ("median(val/acc)", "colour"):
        with pytest.raises(UserError):
            quantity(run, wrong)


def test_the_claims_of_the_project_are_whole():
    claims = load_claims()
    known = plans()
    for one in claims:
        assert one.chapter in known, one.id
        for where in (one.of, one.than):
            if where:
                assert (CONF / "experiment" / f"{where['experiment']}.yaml").exists(), one.id


def test_a_misspelt_field_is_named(tmp_path):
    (tmp_path / "claims.yaml").write_text("- {id: X1, chapter: t, txt: t}\n")
    with pytest.raises(UserError, match="claim X1 has txt"):
        load_claims(tmp_path / "claims.yaml")


def test_not_higher_is_the_opposite_of_higher() -> None:
    few, many = runs("a", [0.90, 0.91, 0.92]), runs("b", [0.80, 0.81, 0.83])
    claim = Claim("1", "x", "no better", "test/acc", {"kind": "a"}, "not_higher", {"kind": "b"}, 0.01)
    assert judge(claim, few + many).outcome == "does not hold"
    assert judge(replace(claim, of={"kind": "b"}, than={"kind": "a"}), few + many).outcome == "holds"
    assert judge(replace(claim, than={"kind": "a"}), few + many).outcome == "holds"  # no difference is no gain


def test_a_fact_needs_as_many_seeds_as_an_interval_unless_it_is_exact() -> None:
    one = runs("a", [0.9])
    bound = Claim("1", "x", "at most", "test/acc", {"kind": "a"}, "at_most", value=1.0)
    assert judge(bound, one).outcome == "undecided" and judge(bound, runs("a", [0.9, 0.89, 0.88])).outcome == "holds"
    assert judge(replace(bound, quantity="params", expect="equal", value=7), one).outcome == "holds"


def test_runs_on_other_data_and_times_of_different_devices_decide_nothing() -> None:
    members = runs("a", [0.9, 0.89, 0.88])
    bound = Claim("1", "x", "at most", "test/acc", {"kind": "a"}, "at_most", value=1.0)
    others = [replace(run, result=run.result | {"task": "digits"}) for run in members]
    assert judge(bound, others).why == "run on other data"
    timed = [replace(run, result=run.result | {"train_seconds": 5, "device": f"cpu {run.seed}"}) for run in members]
    assert judge(replace(bound, quantity="train_seconds", value=10), timed).why == "run on different devices"


def test_of_several_runs_of_a_seed_the_plainest_counts() -> None:
    plain, changed = record(0, 0.9, kind="a"), record(0, 0.1, kind="a")
    plain.result["overrides"], changed.result["overrides"] = ["seed=0"], ["seed=0", "optim.lr=1"]
    assert [run.result["test"]["acc"] for run in select([changed, plain], {"kind": ["a", "b"]})] == [0.9]
    assert select([changed, plain], {"kind": ["b"]}) == []


def test_the_task_that_an_experiment_is_about() -> None:
    assert own_task("bloodmnist/softmax") == "bloodmnist" and own_task("ocr/crnn_ctc") == "ocr"
    assert own_task("rbp/unseen") == "rbp_sim_unseen"  # its data is simulated by design, not in the place of other data
