"""A plan and its runs become a chapter: the set-up as it was, tables, curves, discussion, verdicts."""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import get_args

from dlhw.report.claims import Claim, Outcome, Verdict, judge
from dlhw.report.curves import panels
from dlhw.report.document import Chapter, Figure, Section, Table
from dlhw.report.plan import Curves, Metric, Plan, Row
from dlhw.report.quantities import quantity
from dlhw.report.runs import Record, kinds, left_aside, select
from dlhw.report.setup import network_tables, setup_tables
from dlhw.results.statistics import INTERVAL, Estimate, mean_with_interval

NOT_RUN, NOT_MEASURED = "not run", "not measured"
INTERVALS = (
    f"Mean over the seeds with its 95 % interval over the seeds ({INTERVAL}); of a single run it is the bootstrap interval over the "
    "test samples, marked *, where these are not millions of values. Validation chose the epoch; the highest and the last epoch, where "
    "they are shown, chose nothing."
)


def build(plan: Plan, records: Sequence[Record], claims: Sequence[Claim]) -> Chapter:
    """The chapter of a plan from the finished runs that there are; what has not been run says so."""
    verdicts = [judge(claim, records) for claim in claims if claim.chapter == plan.name]
    used = [*{record.folder: record for row in plan.rows for record in select(records, row.where)}.values()]
    sections = [
        Section("What is asked", plan.asked),
        Section("Set-up", _made_of(used), [*setup_tables(plan, records), *network_tables(plan, records)]),
        Section(
            "Results",
            (),
            results_tables(plan, records) + plan.tables(records),
            [figure for curves in plan.curves if (figure := _curves(plan, curves, records))],
        ),
    ]
    if drawings := plan.drawings(records):
        sections.append(Section("A closer look", (), (), drawings))
    if found := plan.discussion(records):
        sections.append(Section("What was found", [*_stands_in(used), *found]))
    sections.append(Section("Claims", (), [claims_table(plan, verdicts)]))
    outcomes = [verdict.outcome for verdict in verdicts]
    counts = [len(used), *(outcomes.count(outcome) for outcome in get_args(Outcome))]
    return Chapter(plan.name, plan.title, sections, [plan.title, kinds(used), *map(str, counts)])


def _made_of(used: Sequence[Record]) -> list[str]:
    if not used:
        return ["None of this chapter's experiments has been run."]
    return [f"Read from the configurations and results of the {len(used)} runs behind the table of results."]


def _stands_in(used: Sequence[Record]) -> list[str]:
    """What is to be told before conclusions are drawn from runs on data that stands in for that of their experiments."""
    found = dict.fromkeys(f"{record.result['task']} ({record.data})" for record in used if record.stands_in)
    return [f"Some of these runs are not on the data that their experiments are about: {', '.join(found)} stands in."] if found else []


def estimate(row: Row, metric: Metric, records: Sequence[Record]) -> Estimate | None:
    """The mean of a metric over a row's runs with its interval; None where there is no run or it was not measured."""
    runs = select(records, row.where)
    values = [value for record in runs if not math.isnan(value := quantity(record, metric.quantity))]
    if not values:
        return None
    if metric.quantity.startswith("ensemble("):  # one number, whichever member is asked
        return Estimate(values[0], None, None, 1)
    if not metric.interval or math.inf in values:
        return Estimate(fmean(values), None, None, len(values))
    found = mean_with_interval(values)
    if len(values) == 1 and (ends := runs[0].interval(metric.quantity)):
        return Estimate(found.mean, *ends, 1, "test samples")
    return found


def results_tables(plan: Plan, records: Sequence[Record]) -> list[Table]:
    """A line for each row and metric of the plan, with the reported figures beside it, then a table of all else that was measured."""
    lines, more = [], []
    for row in plan.rows:
        runs = select(records, row.where)
        seeds, label = str(len(runs)), named(row, runs)
        for metric in row.metrics or plan.metrics:
            found, reported = estimate(row, metric, records), row.reported.get(metric.quantity, ())
            said = " · ".join(f"{value:.{metric.digits}f}" for value in reported) or "-"
            here = shown(found, metric.digits, NOT_MEASURED if runs else NOT_RUN)
            lines.append([row.id, label, metric.label, seeds, here, said, placed(row, reported, found, runs)])
        if any(row.where == other.where for other in plan.rows[: plan.rows.index(row)]):
            continue  # another number of the same runs
        absent = NOT_MEASURED if runs else NOT_RUN
        more.append([row.id, label, seeds, *(shown(estimate(row, metric, records), metric.digits, absent) for metric in plan.more)])
    columns = ["row", "system", "metric", "seeds", "here", "reported", "which is"]
    aside = dict.fromkeys(str(record.folder) for row in plan.rows for record in left_aside(records, row.where))
    notes = [INTERVALS, *(f"Left aside, because its settings are not those of the other runs of its row: {folder}." for folder in aside)]
    tables = [Table(f"{plan.name}-results", f"{plan.title}: results beside the reported ones.", columns, lines, 3, notes, wide=[1])]
    if plan.more:
        columns = ["row", "system", "seeds", *(metric.label for metric in plan.more)]
        tables.append(Table(f"{plan.name}-more", f"{plan.title}: what else was measured.", columns, more, 2, wide=[1]))
    return tables


def named(row: Row, runs: Sequence[Record]) -> str:
    """What a row is called, with the kind of its data where that is not real."""
    kind = kinds(runs)
    return row.label if kind in ("real", "-") else f"{row.label} ({kind})"


def shown(found: Estimate | None, digits: int = 4, absent: str = NOT_RUN) -> str:
    """``0.9439 [0.9410, 0.9466]``; an interval over test samples is marked with a star."""
    if found is None:
        return absent
    if math.isinf(found.mean):
        return "never" if found.n == 1 else "not in every run"
    mean = f"{found.mean:,.{digits}f}"
    if found.low is None or found.high is None or found.low == found.mean == found.high:
        return mean
    return f"{mean} [{found.low:,.{digits}f}, {found.high:,.{digits}f}]{'*' * (found.over == 'test samples')}"


def placed(row: Row, reported: Sequence[float], found: Estimate | None, runs: Sequence[Record] = ()) -> str:
    """Where the reported figures lie with respect to the interval."""
    if not reported:
        return "-"
    if found is None:
        return NOT_RUN
    if not row.comparable or any(record.stands_in for record in runs):
        return "not comparable"
    if found.low is None or found.high is None:
        return "no interval"
    within = [found.low <= value <= found.high for value in reported]
    return " · ".join(
        "inside" if inside else "above" if value > found.high else "below" for inside, value in zip(within, reported, strict=True)
    )


def _curves(plan: Plan, curves: Curves, records: Sequence[Record]) -> Figure | None:
    """The curves of the rows that have runs; None where none has."""
    rows = [row for row in plan.rows if row.id in curves.rows]
    runs = {f"{row.id} {named(row, members)}": members for row in rows if (members := select(records, row.where))}
    if not runs:
        return None
    drawing = panels(
        [
            (label, {name: [record.curve(column) for record in members] for name, members in runs.items()})
            for column, label in curves.columns
        ],
        curves.floors,
    )
    return Figure(f"{plan.name}-{curves.name}", curves.caption, drawing)


def claims_table(plan: Plan, verdicts: Sequence[Verdict]) -> Table:
    """A line for each claim: what it says, the verdict, the effect with its interval and what that is over, kind of data."""
    rows = []
    for verdict in verdicts:
        claim = verdict.claim
        outcome = f"{verdict.outcome} ({verdict.why})" if verdict.outcome == "undecided" else verdict.outcome
        digits = 3 if claim.ratio else 0 if claim.quantity == "params" else 4
        effect = shown(verdict.effect, digits, NOT_RUN if verdict.why == NOT_RUN else "-")
        rows.append(
            [
                claim.id + " +" * (claim.source == "ours"),
                claim.text,
                outcome,
                claim.quantity,
                f"{_counted(verdict)}, {verdict.data}" if verdict.effect else verdict.data,
                effect,
                _matters(claim),
            ]
        )
    columns = ["claim", "what it says", "verdict", "quantity", "n, data", "effect", "matters from"]
    notes = [
        "Effect: the first setting minus the second over the n common seeds, or parts (proteins, each the mean over its seeds; the "
        "interval then says nothing of how another training would turn out), as a share of the second where what matters is one; of a "
        "fact, the quantity itself. A claim of a difference holds where the whole interval lies on its side and the mean is no less than "
        "what matters; one of no gain where a gain that matters lies outside the interval; one of at most (or at least) so "
        "much where the whole interval lies below (or above); a fact where every run obeys it. Claims marked + are ours; no report says "
        "so.",
    ]
    return Table(
        f"{plan.name}-claims",
        f"{plan.title}: what is claimed, and what the runs say.",
        columns,
        rows,
        5,
        notes,
        wide=[1, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4],
    )


def _counted(verdict: Verdict) -> str:
    """What the interval is over: ``5 seeds``, ``20 parts of 1 seed``."""
    assert verdict.effect is not None
    n, over = verdict.effect.n, "votes" if verdict.claim.quantity.startswith("ensemble(") else verdict.claim.over
    of = f" of {_number(verdict.runs, 'seeds')}" if over == "parts" else ""
    return _number(n, over) + of


def _number(n: int, what: str) -> str:
    return f"{n} {what.removesuffix('s') if n == 1 else what}"


def _matters(claim: Claim) -> str:
    if claim.value is not None:
        return f"{claim.expect.replace('_', ' ')} {claim.value:,}"
    return f"{claim.matters:.0%}" if claim.ratio else f"{claim.matters:g}"
