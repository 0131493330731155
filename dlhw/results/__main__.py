"""``python -m dlhw.results COMMAND``: what runs have found, from their folders."""

import argparse
import os
from pathlib import Path

from dlhw import command
from dlhw.results.by_group import by_group
from dlhw.results.compare import compare
from dlhw.results.load import load_runs
from dlhw.results.reference import README, REFERENCE, keep, write_readme
from dlhw.results.table import table


def main(arguments: list[str]) -> int:
    options = parser().parse_args(arguments)
    match options.command:
        case "table":
            table(options.folders, options.metrics, options.csv, options.passes)
        case "compare":
            compare(load_runs(*options.folders), options.metric, options.without, options.against, options.csv)
        case "groups":
            by_group(options.places, options.csv)
        case "ensemble":
            from dlhw.results.ensemble import ensemble

            places = [word for word in options.words if "=" not in word]
            ensemble(places, dict(word.split("=", 1) for word in options.words if "=" in word))
        case "verify":
            from dlhw.results.verify import verify

            agree = verify(options.folder, options.data_root, train_again=not options.predictions_only, strict=options.strict)
            return 0 if agree else 1
        case "keep":
            print("\n".join(f"kept: {folder}" for folder in keep(options.folders)))
        case "readme":
            write_readme()
    return 0


def _names(text: str) -> list[str]:
    return text.split(",")


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="python -m dlhw.results", description="Results of runs.")
    commands = root.add_subparsers(dest="command", required=True)

    table = commands.add_parser("table", help="print the runs below folders as a table, and write it as CSV")
    table.add_argument("folders", nargs="+", metavar="FOLDER")
    table.add_argument("--metrics", type=_names, help="such as acc,auc,val/acc,last/loss; without a split: test")
    table.add_argument("--csv", type=Path, help="where to write all metrics (default: table.csv in the first folder)")
    table.add_argument("--passes", metavar="METRIC=VALUE", help="a column: epochs until val/METRIC first reached VALUE")

    pair = commands.add_parser("compare", help="print paired differences of settings, and a metric protein by protein")
    pair.add_argument("folders", nargs="+", metavar="FOLDER")
    pair.add_argument("--metric", help="of the test split (default: what picked the best epoch)")
    pair.add_argument("--without", type=_names, default=[], help="parts to leave out, such as RBP35,RBP01")
    pair.add_argument("--against", help="compare with this setting: a part of its name (default: the best)")
    pair.add_argument("--csv", type=Path, help="where to write the table of parts")

    groups = commands.add_parser("groups", help="print the error rates of text lines for each group, a book, and over all")
    groups.add_argument("places", nargs="+", metavar="FOLDER | FILE.npz", help="runs, folders above them, or what dlhw.decode wrote")
    groups.add_argument("--csv", type=Path, help="write the tables here too")

    together = commands.add_parser("ensemble", help="score the mean of the test predictions of several runs")
    together.add_argument("words", nargs="+", metavar="FOLDER | KEY=VALUE", help="runs, or folders above them; KEY=VALUE picks runs")

    check = commands.add_parser("verify", help="check a run: its labels, its metrics by its predictions, then all by the run trained again")
    check.add_argument("folder", type=Path, metavar="RUN_FOLDER")
    check.add_argument("--predictions-only", action="store_true", help="do not train it again")
    check.add_argument("--strict", action="store_true", help="trained again, every number must repeat, also where it was made elsewhere")
    check.add_argument("--data-root", default=os.environ.get("DLHW_DATA", "data"), help="folder of data sets (default: DLHW_DATA, or data)")

    copy = commands.add_parser("keep", help=f"copy finished runs to {REFERENCE}, without checkpoints")
    copy.add_argument("folders", nargs="+", metavar="FOLDER")
    commands.add_parser("readme", help=f"write the table of {REFERENCE} into {README}")
    return root


if __name__ == "__main__":
    command.run(main)
