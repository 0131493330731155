"""The committed results: finished runs without their checkpoints, and the README's table made of them."""

import gzip
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dlhw.atomic_file import replacing, write_text
from dlhw.errors import UserError
from dlhw.predictions import confusion_counts
from dlhw.results.intervals import stored_predictions, write_intervals
from dlhw.results.load import finished_result, load_runs, read_settings
from dlhw.results.summary import cells_with_data, headline, shown_settings, summarize, with_spread
from dlhw.run_folder import CONFIG, DECODED, EXPLAINED, METRICS, MOST_WRONG, RESULT, short_names

REFERENCE, README = Path("outputs/reference"), Path("README.md")
CONFUSION = "confusion.csv"  # of a classified test split: counts, rows the true class
COMPACT = "predictions.csv.gz"  # text, because a repository is no place for binary arrays
TEXT = ":text"  # ends the name of a column of text
EMBEDDED = ("digits", "ocr_digits", "p2g_sim", "rbp_sim", "rbp_sim_unseen")  # tasks whose data comes with the project
OF_THE_DATA = ("targets", "measured", "reference", "picture")  # arrays that are parts of other sets, which are not ours to give away
# What dlhw.explain has found: of a network itself, or for words of no data set; and on samples, which are parts of the data.
FOUND = ("summary.json", "filters.csv", "filters.meme", "report/given/**/*.csv")
FOUND_ON_SAMPLES = ("positions.csv", "kmers.csv", "report/posteriors/*.*", "report/attention/*.*", "report/worst.png")
NEARLY = {"ocr": ("hypothesis",)}  # task: predictions that are the answers but for a letter here and there
MOST = 500_000  # bytes of one run's predictions; larger ones are left out
BEGIN, END = "<!-- results: python -m dlhw.results readme -->", "<!-- end of results -->"


def keep(folders: Sequence[str | Path], reference: Path = REFERENCE) -> list[Path]:
    """Copy the finished runs below ``folders`` to ``reference/<experiment>/<run>``: settings, result, metrics, test predictions, intervals
    over the test samples, the scores that other decoders gave, and what ``dlhw.explain`` has found.

    Of predictions for data that does not come with the project, what was to be predicted is left out; predicted intensities keep three
    digits; what is larger than ``MOST`` is not kept. The confusion matrix stays; pictures do of embedded data. Returns the folders written.
    """
    runs = load_runs(*folders)
    kept = []
    for run in runs[runs["status"] == "finished"].to_dict("records"):
        source, target = Path(run["path"]), reference / run["experiment"] / Path(run["path"]).name
        target.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, RESULT, METRICS):
            shutil.copyfile(source / name, target / name)
        if (counts := confusion(source)) is not None:
            np.savetxt(target / CONFUSION, counts, fmt="%d", delimiter=",")
        left_out = () if run["task"] in EMBEDDED else (*OF_THE_DATA, *NEARLY.get(run["task"], ()))
        arrays = stored_predictions(source)
        write_compact(target / COMPACT, {name: _short(name, array) for name, array in arrays.items() if name not in left_out})
        if (target / COMPACT).stat().st_size > MOST:
            (target / COMPACT).unlink()
        write_intervals(source, target, finished_result(source), read_settings(source))
        if run["task"] in EMBEDDED and (source / MOST_WRONG).exists():
            shutil.copyfile(source / MOST_WRONG, target / MOST_WRONG)
        for here, there in ((source, target), (source.parent, target.parent)):  # of the run, and of ensembles that it is in
            for path in (here / DECODED).glob("*.json"):
                (there / DECODED).mkdir(exist_ok=True)
                shutil.copyfile(path, there / DECODED / path.name)
        shutil.rmtree(target / EXPLAINED, ignore_errors=True)
        for pattern in (*FOUND, *(FOUND_ON_SAMPLES if run["task"] in EMBEDDED else ())):
            for path in (source / EXPLAINED).rglob(pattern):
                (target / path.relative_to(source)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target / path.relative_to(source))
        kept.append(target)
    return kept


def confusion(folder: Path) -> np.ndarray | None:
    """The confusion matrix of a run's test split, or a kept one's: counts (K, K), rows the true class; None where it has none."""
    arrays = read_predictions(folder)
    if {"targets", "probabilities"} <= arrays.keys():
        targets, probabilities = arrays["targets"], arrays["probabilities"]
        return confusion_counts(targets, probabilities.argmax(axis=1), probabilities.shape[1]) if targets.ndim == 1 else None
    return np.loadtxt(folder / CONFUSION, dtype=int, delimiter=",", ndmin=2) if (folder / CONFUSION).exists() else None


def _short(name: str, array: np.ndarray) -> np.ndarray:
    """Predicted intensities with three digits."""
    if name != "predicted":
        return array
    with np.errstate(divide="ignore", invalid="ignore"):  # of 0, which stays as it is
        place = 10.0 ** (2 - np.floor(np.log10(np.abs(array.astype(np.float64)))))
        return np.where(np.isfinite(place), np.round(array * place) / place, array).astype(np.float32)


def write_compact(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays with one row a sample as compressed CSV, bit for bit.

    A column is called ``name``, or ``name.k`` for each column k of a two-dimensional array; that of an array of text ends in ``:text``.
    """
    columns: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        kind = TEXT if array.dtype.kind == "U" else ""
        columns |= {f"{name}.{k}{kind}": column for k, column in enumerate(array.T)} if array.ndim == 2 else {f"{name}{kind}": array}
    text = pd.DataFrame(columns).to_csv(index=False, float_format="%.9g", lineterminator="\r\n")  # nine digits give a float32 back
    with replacing(path) as temporary, open(temporary, "wb") as file, gzip.GzipFile("", "wb", mtime=0, fileobj=file) as packed:
        packed.write(text.encode())


def read_compact(path: Path) -> dict[str, np.ndarray]:
    """The inverse of :func:`write_compact`; floats come as float32."""
    data = gzip.decompress(path.read_bytes())
    header = pd.read_csv(io.BytesIO(data), nrows=0).columns
    texts = [column for column in header if column.endswith(TEXT)]
    no_number = {column: [""] for column in header if column not in texts}  # an empty text is a text
    frame = pd.read_csv(io.BytesIO(data), dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=no_number)
    columns: dict[str, list[str]] = {}
    for column in frame.columns:
        columns.setdefault(column.removesuffix(TEXT).split(".")[0], []).append(column)
    arrays = {}
    for name, of_name in columns.items():
        values = frame[of_name].to_numpy()
        if of_name[0] in texts:
            values = values.astype(str)
        elif values.dtype.kind == "f":
            values = values.astype(np.float32)
        arrays[name] = values if of_name[0].startswith(f"{name}.0") else values[:, 0]
    return arrays


def read_predictions(folder: Path) -> dict[str, np.ndarray]:
    """The stored test predictions of a run, or of a kept one; empty where there are none."""
    if (folder / COMPACT).exists():
        return read_compact(folder / COMPACT)
    return stored_predictions(folder)


def readme_table(reference: Path = REFERENCE) -> str:
    """A Markdown table a experiment over the committed runs."""
    parts = []
    for experiment, paths in load_runs(reference).groupby("experiment")["path"]:
        members = load_runs(*paths)  # alone: without the columns of other experiments
        summary = summarize(members)
        cells, shown = cells_with_data(summary), shown_settings(summary)
        runs = members[shown].to_dict("records")
        short = short_names(set(shown)) | {"data": "data"}
        metrics = [name for name in headline(summary) if name != "test/loss"]
        header = [*(short[key] for key in cells.columns), "runs", *metrics, "parameters", "training (s)", "device"]
        lines = [header, ["---"] * len(header)]
        for setting, row in zip(cells.to_numpy().tolist(), summary.to_dict("records"), strict=True):
            numbers = [with_spread(row, name) for name in metrics]
            same = [all(value == row[key] or (pd.isna(value) and pd.isna(row[key])) for key, value in run.items()) for run in runs]
            devices = ", ".join(sorted(set(members.loc[same, "device"])))
            lines.append([*setting, str(row["n"]), *numbers, f"{row['params']:,.0f}", f"{row['train_seconds']:,.0f}", devices])
        parts.append(f"**{experiment}**\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines))
    return "\n\n".join(parts)


def write_readme(readme: Path = README, reference: Path = REFERENCE) -> None:
    """Replace what stands between the marks in the README by the table.

    Raises:
        UserError: the marks are not there.
    """
    before, begin, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise UserError(f"{readme}: the marks {BEGIN} and {END} are not both there")
    write_text(readme, f"{before}{BEGIN}\n\n{readme_table(reference)}\n\n{END}{after}")
