"""The whole report: python -m dlhw.report [CHAPTER ...] [--quick]

Runs what is missing, then writes ``report.html`` and ``report.pdf`` with their tables and figures.
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dlhw import command
from dlhw.errors import Stopped, UserError
from dlhw.report.build import build
from dlhw.report.chapters import plans
from dlhw.report.claims import load_claims
from dlhw.report.document import Document
from dlhw.report.plan import Plan
from dlhw.report.render import write_document
from dlhw.report.run_missing import run_all
from dlhw.report.runs import load_records
from dlhw.run_folder import RESULT

TITLE = "Course-scale deep learning, run again"
INTRODUCTION = (
    "Each chapter takes up a course report: what it asked, what was trained here to answer it, and how the results stand beside the "
    "reported ones. What was measured is read from the runs, never typed. A reported figure without a spread is one run of one group.",
    "Every statement of the reports that numbers can decide, and some of ours, is judged at the end of its chapter: it holds, it does "
    "not hold, or it is undecided, and why.",
)
QUICK = "quick: short runs on small shares of the data; its numbers say nothing about the systems"


def write_report(chosen: Sequence[Plan], results: Path, output: Path, quick: bool) -> list[Path]:
    """Build the chapters from the runs below ``results`` and write the document into ``output``."""
    records, claims = load_records(results), load_claims()
    chapters = [build(plan, records, claims) for plan in chosen]
    commits = sorted({str(record.result.get("git")).rstrip("+")[:10] for record in records})
    versions = sorted({f"{name} {record.result['versions'][name]}" for record in records for name in ("torch", "lightning")})
    made = [("runs", f"{len(records)} finished ones"), ("commits", ", ".join(commits) or "none"), ("versions", ", ".join(versions))]
    document = Document(TITLE, chapters, INTRODUCTION, QUICK if quick else "", made)
    return write_document(document, output)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m dlhw.report", description="The report: runs what is missing, then writes it.")
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER", help="default: all")
    parser.add_argument("--quick", action="store_true", help="short runs on small shares of the data")
    parser.add_argument("--results", type=Path, help="build from the runs below this folder only; nothing is run")
    parser.add_argument(
        "--output", type=Path, help="where to write it (default: outputs/report, outputs/report-CHAPTER, or the same below outputs/quick)"
    )
    parser.add_argument(
        "--data-root", type=Path, default=os.environ.get("DLHW_DATA", "data"), help="folder of data sets (default: DLHW_DATA, or data)"
    )
    options = parser.parse_args(arguments)
    known = plans()
    if unknown := [name for name in options.chapters if name not in known]:
        raise UserError(f"there is no chapter {', '.join(unknown)}: there are {', '.join(known)}")
    chosen = [known[name] for name in options.chapters or known]
    root = options.results or Path("outputs/quick" if options.quick else "outputs")
    failed: list[str] = []
    if options.results is None:
        try:
            failed = run_all([experiment for plan in chosen for experiment in plan.experiments], root, options.data_root, options.quick)
        except (KeyboardInterrupt, Stopped) as stop:
            print("stopped; what is finished is kept, and the same command goes on from there", file=sys.stderr)
            return 128 + (stop.signum if isinstance(stop, Stopped) else signal.SIGINT)
    elif not any(root.rglob(RESULT)):
        raise UserError(f"there is no run (no {RESULT}) below {root}; a folder with finished runs below it is right, such as outputs")
    written = write_report(chosen, root, options.output or root / "-".join(["report", *options.chapters]), options.quick)
    for what in failed:
        print(f"failed, and so missing in the report: {what}")
    for path in written:
        print(path)
    return 1 if failed else 0


if __name__ == "__main__":
    command.run(main)
