"""The committed results: finished runs without their checkpoints, and the README's table made of them.

python -m dlhw.reference keep FOLDER [FOLDER ...]    copies finished runs to outputs/reference
python -m dlhw.reference readme                      writes the table between the marks in README.md
"""

import argparse
import gzip
import io
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from dlhw import command
from dlhw.atomic_file import replacing, write_text
from dlhw.errors import UserError
from dlhw.results import load_runs
from dlhw.run_folder import CONFIG, METRICS, PREDICTIONS, RESULT, short_names
from dlhw.summary import headline, setting_cells, summarize, with_spread

REFERENCE, README = Path("outputs/reference"), Path("README.md")
COMPACT = "predictions.csv.gz"  # text, because a repository is no place for binary arrays
BEGIN, END = "<!-- results: python -m dlhw.reference readme -->", "<!-- end of results -->"


def keep(folders: Sequence[str | Path], reference: Path = REFERENCE) -> list[Path]:
    """Copy the finished runs below ``folders`` to ``reference/<experiment>/<run>``: settings, result, metrics and test predictions.

    Returns the folders that were written.
    """
    runs = load_runs(*folders)
    kept = []
    for run in runs[runs["status"] == "finished"].to_dict("records"):
        source, target = Path(run["path"]), reference / run["experiment"] / Path(run["path"]).name
        target.mkdir(parents=True, exist_ok=True)
        for name in (CONFIG, RESULT, METRICS):
            shutil.copyfile(source / name, target / name)
        with np.load(source / PREDICTIONS, allow_pickle=False) as arrays:
            write_compact(target / COMPACT, dict(arrays))
        kept.append(target)
    return kept


def write_compact(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays with one row a sample as compressed CSV, a column ``name.k`` for each column of a two-dimensional one, bit for bit."""
    columns = {
        f"{name}.{k}" if array.ndim == 2 else name: column
        for name, array in arrays.items()
        for k, column in enumerate(array.T if array.ndim == 2 else [array])
    }
    text = pd.DataFrame(columns).to_csv(index=False, float_format="%.9g")  # nine digits give a float32 back
    with replacing(path) as temporary, open(temporary, "wb") as file, gzip.GzipFile("", "wb", mtime=0, fileobj=file) as packed:
        packed.write(text.encode())


def read_compact(path: Path) -> dict[str, np.ndarray]:
    """The inverse of :func:`write_compact`; floats come as float32."""
    frame = pd.read_csv(io.BytesIO(gzip.decompress(path.read_bytes())))
    names = dict.fromkeys(str(column).split(".")[0] for column in frame.columns)
    arrays = {}
    for name in names:
        values = frame[[column for column in frame.columns if str(column).split(".")[0] == name]].to_numpy()
        values = values.astype(np.float32) if values.dtype.kind == "f" else values
        arrays[name] = values if f"{name}.0" in frame.columns else values[:, 0]
    return arrays


def readme_table(reference: Path = REFERENCE) -> str:
    """A Markdown table a experiment over the committed runs."""
    runs = load_runs(reference)
    parts = []
    for experiment, members in runs.groupby("experiment"):
        summary = summarize(members)
        cells = setting_cells(summary)
        short = short_names(set(cells.columns))
        metrics = [name for name in headline(summary) if name != "test/loss"]
        header = [*(short[key] for key in cells.columns), "runs", *metrics, "parameters", "training (s)", "device"]
        lines = [header, ["---"] * len(header)]
        for setting, row in zip(cells.to_numpy().tolist(), summary.to_dict("records"), strict=True):
            numbers = [with_spread(row, name) for name in metrics]
            same = (members[list(cells.columns)].astype(str) == pd.Series({key: str(row[key]) for key in cells.columns})).all(axis=1)
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


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.reference", description="The committed results.")
    commands = parser.add_subparsers(dest="command", required=True)
    copy = commands.add_parser("keep", help=f"copy finished runs to {REFERENCE}, without checkpoints")
    copy.add_argument("folders", nargs="+", metavar="FOLDER")
    commands.add_parser("readme", help=f"write the table of {REFERENCE} into {README}")
    options = parser.parse_args(arguments)
    if options.command == "keep":
        print("\n".join(f"kept: {folder}" for folder in keep(options.folders)))
    else:
        write_readme()
    return 0


if __name__ == "__main__":
    command.run(main)
