"""What the reports claim, as tests over runs: ``conf/report/claims.yaml`` in, verdicts out.

A claim compares a quantity of two settings over their common seeds, or over their common parts of the test split (proteins), or holds a
fact against every run of one setting.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from statistics import fmean
from typing import Any, Literal, get_args

import yaml

from dlhw.config import CONF
from dlhw.errors import UserError
from dlhw.report.quantities import metrics, quantity
from dlhw.report.runs import Record, Where, kinds, select
from dlhw.results.statistics import FEWEST, Estimate, mean_with_interval, paired_difference

CLAIMS = CONF / "report" / "claims.yaml"

Expect = Literal["higher", "lower", "not_higher", "same", "at_most", "at_least", "never_below", "equal"]
OF_VALUE = ("at_most", "at_least", "never_below", "equal")
Outcome = Literal["holds", "does not hold", "undecided"]


@dataclass(frozen=True)
class Claim:
    """One statement that numbers can decide.

    Args:
        id, chapter, text: its name, the chapter that it belongs to, and what it says, in our words.
        quantity: what is compared: see :func:`dlhw.report.quantities.quantity`.
        of: the runs that it is about.
        than: the runs that they are compared with; where ``value`` is given there are none.
        expect: ``higher``, ``lower``, ``not_higher`` or ``same`` than the others; of ``value``, ``at_most`` or ``at_least``, which are
            about the mean, or ``never_below`` or ``equal``, which are facts about every run.
        matters: the smallest difference that would matter; for ``ratio``, in shares of the others' value.
        ratio: the difference is a share of the others' value.
        value: of a fact.
        than_quantity: what is read off the runs in ``than``, where it is another quantity.
        over: what the pairs are, and so the interval: ``seeds``, or ``parts``, as the proteins of ``spearman:NAME``, each of which is the
            mean over the seeds.
        without: parts to leave out.
        source: ``report``, or ``ours`` where no report says so.
    """

    id: str
    chapter: str
    text: str
    quantity: str
    of: dict[str, Any]
    expect: Expect
    than: dict[str, Any] = field(default_factory=dict)
    matters: float = 0.0
    ratio: bool = False
    value: float | None = None
    than_quantity: str = ""
    over: Literal["seeds", "parts"] = "seeds"
    without: Sequence[str] = ()
    source: Literal["report", "ours"] = "report"

    def __post_init__(self) -> None:
        if self.expect not in get_args(Expect):
            raise UserError(f"claim {self.id}: expect={self.expect} is not one of {', '.join(get_args(Expect))}")
        if (self.expect in OF_VALUE) == bool(self.than) or (self.value is None) != bool(self.than):
            raise UserError(
                f"claim {self.id}: either than (for higher, lower, not_higher, same) or value (for {', '.join(OF_VALUE)}) is right"
            )
        if self.than and self.matters <= 0:
            raise UserError(f"claim {self.id}: matters={self.matters} is out of range: the smallest difference that matters is above 0")
        if self.over not in ("seeds", "parts") or (self.over == "parts" and not self.than):
            raise UserError(f"claim {self.id}: over={self.over}: seeds is right, or parts where two settings are compared")
        if self.without and self.over != "parts":
            raise UserError(f"claim {self.id}: without={', '.join(self.without)} leaves parts out, so it needs over: parts")


@dataclass(frozen=True)
class Verdict:
    """What the runs say of a claim; ``why`` tells in a few words what an undecided one lacks, ``data`` the kind of the runs' data,
    ``runs`` how many seeds the setting with the fewest has.
    """

    claim: Claim
    outcome: Outcome
    effect: Estimate | None = None
    why: str = ""
    data: str = "-"
    runs: int = 0


def load_claims(path: Path = CLAIMS) -> list[Claim]:
    """The claims of a file, in its order.

    Raises:
        UserError: an unknown or missing field, two claims of one id.
    """
    known = {part.name for part in fields(Claim)}
    claims: list[Claim] = []
    for entry in yaml.safe_load(path.read_text()):
        if unknown := entry.keys() - known:
            raise UserError(f"{path}: claim {entry.get('id')} has {', '.join(sorted(unknown))}; a claim has {', '.join(sorted(known))}")
        try:
            claims.append(Claim(**entry))
        except TypeError as error:
            raise UserError(f"{path}: claim {entry.get('id')}: {error}") from None
    if twice := {claim.id for claim in claims if sum(other.id == claim.id for other in claims) > 1}:
        raise UserError(f"{path} has two claims called {', '.join(sorted(twice))}")
    return claims


def judge(claim: Claim, records: Sequence[Record]) -> Verdict:
    """The verdict on a claim from the runs that there are."""
    used = [record for where in (claim.of, claim.than) if where for record in select(records, where)]
    verdict = replace(_judge(claim, records, used), runs=_fewest_seeds(claim, records))
    if any(record.stands_in for record in used):
        verdict = replace(verdict, outcome="undecided", why="run on other data")
    elif claim.quantity == "train_seconds" and len({str(record.result.get("device")) for record in used}) > 1:
        verdict = replace(verdict, outcome="undecided", why="run on different devices")
    return replace(verdict, data=kinds(used))


def _exact(quantity: str) -> bool:
    """Whether one run tells all there is to know: it is the same for every seed."""
    return quantity == "params" or quantity.startswith(("layer(", "ensemble("))


def _judge(claim: Claim, records: Sequence[Record], used: Sequence[Record]) -> Verdict:
    if claim.value is not None:
        values = _by_seed(claim.quantity, records, claim.of)
        return _against_value(claim, claim.value, values) if values else Verdict(claim, "undecided", why="not run")
    read = by_part if claim.over == "parts" else _by_seed
    first = read(claim.quantity, records, claim.of)
    second = read(claim.than_quantity or claim.quantity, records, claim.than)
    if not first or not second:
        return Verdict(claim, "undecided", why="not run")
    if unknown := [part for part in claim.without if part not in first]:
        return Verdict(claim, "undecided", why=f"no part called {', '.join(unknown)}")
    first = {key: value for key, value in first.items() if key not in claim.without}
    if not first.keys() & second.keys():
        return Verdict(claim, "undecided", why=f"no common {claim.over.removesuffix('s')}")
    first, second = _comparable(claim, first, second, used)
    effect = paired_difference(first, second, claim.over)
    if effect is None:
        return Verdict(claim, "undecided", why="none to compare with" if claim.ratio else "neither gets there")
    if _exact(claim.quantity):
        return _compared(claim, effect, effect.mean, effect.mean)
    if effect.low is None or effect.high is None:
        return Verdict(claim, "undecided", effect, why=f"{effect.n} {claim.over[: -1 if effect.n == 1 else None]}, {FEWEST} are needed")
    return _compared(claim, effect, effect.low, effect.high)


def _comparable(
    claim: Claim, first: dict[str, float], second: dict[str, float], used: Sequence[Record]
) -> tuple[dict[str, float], dict[str, float]]:
    """The pairs that tell something: shares only of what there is, and no epochs of a pair that both never got there. Where one of them
    did not, the epoch after the last stands for the one in which it may yet have done so.
    """
    if claim.ratio:
        shares = {key: value / second[key] - 1 for key, value in first.items() if second.get(key)}
        return shares, dict.fromkeys(shares, 0.0)
    if math.inf in (*first.values(), *second.values()):
        never = 1.0 + max(int(record.result["epochs"]) for record in used)
        got_there = [key for key in first.keys() & second.keys() if min(first[key], second[key]) < math.inf]
        first, second = ({key: min(values[key], never) for key in got_there} for values in (first, second))
    return first, second


def _fewest_seeds(claim: Claim, records: Sequence[Record]) -> int:
    """How many seeds the setting with the fewest has."""
    return min(len(select(records, where)) for where in (claim.of, claim.than) if where)


def _compared(claim: Claim, effect: Estimate, low: float, high: float) -> Verdict:
    """``higher`` holds where the whole interval lies above 0 and the mean is no less than what matters, and does not where the whole
    interval lies below what matters; ``not_higher`` is its opposite. ``same`` holds where the interval lies within what matters, and
    does not where it lies without.
    """
    matters = claim.matters
    if claim.expect == "same":
        if -matters < low and high < matters:
            return Verdict(claim, "holds", effect)
        return Verdict(claim, "does not hold" if low > matters or high < -matters else "undecided", effect, "the interval is too wide")
    if claim.expect == "not_higher":
        higher = _compared(replace(claim, expect="higher"), effect, low, high)
        opposite: dict[Outcome, Outcome] = {"holds": "does not hold", "does not hold": "holds", "undecided": "undecided"}
        return replace(higher, claim=claim, outcome=opposite[higher.outcome])
    if claim.expect == "lower":
        low, high, mean = -high, -low, -effect.mean
    else:
        mean = effect.mean
    if low > 0 and mean >= matters:
        return Verdict(claim, "holds", effect)
    if high < matters:
        return Verdict(claim, "does not hold", effect)
    return Verdict(claim, "undecided", effect, "the interval is too wide")


def _against_value(claim: Claim, right: float, values: Mapping[str, float]) -> Verdict:
    found = mean_with_interval([*values.values()])
    if len(values) < FEWEST and not _exact(claim.quantity):
        return Verdict(claim, "undecided", found, f"{len(values)} seed{'s' * (len(values) > 1)}, {FEWEST} are needed")
    tolerance = claim.matters or 1e-6 * max(1.0, abs(right))
    if claim.expect in ("at_most", "at_least"):
        sign = 1 if claim.expect == "at_most" else -1
        low, high = sorted(sign * (found.mean if end is None else end) for end in (found.low, found.high))
        if low <= sign * right + tolerance < high:
            return Verdict(claim, "undecided", found, "the interval is too wide")
        return Verdict(claim, "holds" if high <= sign * right + tolerance else "does not hold", found)
    if claim.expect == "never_below":
        true = all(value >= right - tolerance for value in values.values())
    else:
        true = all(abs(value - right) <= tolerance for value in values.values())
    return Verdict(claim, "holds" if true else "does not hold", found)


def _by_seed(name: str, records: Sequence[Record], where: Where) -> dict[str, float]:
    values = {str(record.seed): quantity(record, name) for record in select(records, where)}
    known = {seed: value for seed, value in values.items() if not math.isnan(value)}
    return dict([*known.items()][:1]) if name.startswith("ensemble(") else known  # its members have one number together


def by_part(name: str, records: Sequence[Record], where: Where) -> dict[str, float]:
    """A metric on each part that the runs have measured, the mean over the seeds; runs of a protein each are chosen one by one."""
    groups: dict[frozenset[str], list[Record]] = {}  # by the parts that they have measured
    for record in records:
        if record.has(where) and (parts := frozenset(_parts(record, name))):
            groups.setdefault(parts, []).append(record)
    found: dict[str, list[float]] = {}
    for members in groups.values():
        for record in select(members, where):
            for part, value in _parts(record, name).items():
                found.setdefault(part, []).append(value)
    return {part: fmean(values) for part, values in found.items()}


def _parts(record: Record, name: str) -> dict[str, float]:
    measured, metric = metrics(record, name)
    of_metric = {key.removeprefix(f"{metric}:"): value for key, value in measured.items() if key.startswith(f"{metric}:")}
    return {part: float(value) for part, value in of_metric.items() if value is not None}
