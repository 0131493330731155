"""Short names of settings: as few words as tell them apart, and apart from these what else differs."""

from dataclasses import dataclass
from itertools import combinations

import pandas as pd

from dlhw.results.summary import setting_cells
from dlhw.run_folder import short_names

KINDS = ("model", "experiment", "task")  # columns whose values say by themselves what they are
SIMULATED = "simulated"


@dataclass(frozen=True)
class Name:
    """``short`` is another for each setting; ``more`` is what it leaves out of what differs between the settings, and may be empty."""

    short: str
    more: str


def setting_names(summary: pd.DataFrame) -> list[Name]:
    """A name for each row of :func:`dlhw.results.summary.summarize`.

    It is the model; where several rows share it, the experiment, then the task; where they share all of these, as few settings as tell
    them apart, the shorter ones first. What is the same in all rows is not named. Data that was made up is always called simulated.
    """
    cells = setting_cells(summary)
    short = short_names(set(cells.columns))
    words = pd.DataFrame({key: cells[key] if key in KINDS else f"{short[key]}=" + cells[key] for key in cells.columns})
    chosen = _chosen(words.assign(**{SIMULATED: summary[SIMULATED]}))
    names = []
    for row, values in enumerate(words.to_dict("records")):
        said = {str(key): str(word) for key, word in values.items()}
        own = [said.pop(key) for key in chosen[row]] or [said.pop("experiment", str(summary.at[row, "experiment"]))]
        names.append(Name(" ".join([*own, SIMULATED] if summary.at[row, SIMULATED] else own), ", ".join(said.values())))
    return names


def _chosen(words: pd.DataFrame) -> dict[int, list[str]]:
    """The columns that name each row, by its number: those by which it differs from the others; none of a row that is alone."""
    if len(words) == 1:
        return {words.index[0]: []}
    for key in (KINDS[0], SIMULATED, *KINDS[1:]):
        if key in words and words[key].nunique() > 1:
            own = [] if key == SIMULATED else [key]  # which is said anyhow
            return {row: [*own, *rest] for _, alike in words.groupby(key) for row, rest in _chosen(alike).items()}
    return dict.fromkeys(words.index, _fewest(words.drop(columns=[SIMULATED, *KINDS], errors="ignore")))


def _fewest(words: pd.DataFrame) -> list[str]:
    """As few columns as tell the rows apart; of those that tell the same rows apart the one with the shortest words."""
    groups: dict[tuple[int, ...], str] = {}
    for key in sorted(words.columns, key=lambda key: words[key].str.len().sum()):
        groups.setdefault(tuple(pd.factorize(words[key])[0].tolist()), key)
    for count in range(1, len(groups) + 1):
        for several in combinations(groups, count):
            if len(set(zip(*several, strict=True))) == len(words):
                found = [groups[one] for one in several]
                return [key for key in words.columns if key in found]
    return [*words.columns]
