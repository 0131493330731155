"""One check of a result: what it says, and what was found."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

EXACT = 1e-5  # of what is stored as float32
SPLITS = ("val", "test", "last", "train")


@dataclass(frozen=True)
class Check:
    """One number: what the result says, what was found, and how far the two may be apart."""

    name: str
    said: float
    found: float
    tolerance: float

    @property
    def difference(self) -> float:
        return abs(self.said - self.found)

    @property
    def within(self) -> bool:
        """NaN agrees with NaN only."""
        if math.isnan(self.said) or math.isnan(self.found):
            return math.isnan(self.said) and math.isnan(self.found)
        return self.difference <= self.tolerance

    def __str__(self) -> str:
        verdict = "within" if self.within else "NOT WITHIN"
        numbers = f"said {self.said:<12.6g} found {self.found:<12.6g} difference {self.difference:<9.2g}"
        return f"{self.name:<40} {numbers} {verdict} {self.tolerance:g}"


@dataclass(frozen=True)
class Same:
    """A word, a count or a list of them, which must be found as the result says it, or, where it does not decide, may differ."""

    name: str
    said: Any
    found: Any
    decides: bool = True

    @property
    def within(self) -> bool:
        return not self.decides or self.said == self.found

    def __str__(self) -> str:
        if self.said == self.found:
            return f"{self.name:<40} {'as said' if isinstance(self.said, dict | list) else f'said {self.said}, as found'}"
        verdict = "NOT THE SAME" if self.decides else "which may differ elsewhere"
        return f"{self.name:<40} {'; '.join(self._differences()[:5])} {verdict}"

    def _differences(self) -> list[str]:
        said, found = (dict(enumerate(part)) if isinstance(part, list) else part for part in (self.said, self.found))
        if not isinstance(said, dict) or not isinstance(found, dict):
            return [f"said {said}, found {found}"]
        there = [key for key in {**said, **found} if said.get(key) != found.get(key)]
        return [f"{key}: said {said.get(key)}, found {found.get(key)}" for key in there]


Checks = Iterable[Check | Same]


def alike(name: str, said: Mapping[str, float], found: Mapping[str, float], tolerance: float) -> Same:
    """One check of many numbers, which holds those that are further apart than ``tolerance``."""
    nan = math.nan
    apart = [key for key in {**said, **found} if not Check(key, said.get(key, nan), found.get(key, nan), tolerance).within]
    return Same(name, {key: said.get(key) for key in apart}, {key: found.get(key) for key in apart})


def number(values: Mapping[str, Any], name: str) -> float:
    """A metric of ``result.json``, which has ``null`` for NaN."""
    value = values.get(name)
    return math.nan if value is None else float(value)
