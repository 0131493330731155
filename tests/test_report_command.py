"""The command that writes a report, as a user starts it: a chapter on embedded data, from nothing; then again, where all is there."""

import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPORT = Path("outputs/quick/report-digits")


def report(folder: Path) -> str:
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "dlhw.report", "digits", "--quick", "--data-root", "nowhere"]
    done = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("report")


def test_a_tiny_report_is_whole_and_the_second_time_nothing_is_trained(folder: Path) -> None:
    told = report(folder)
    assert re.search(r"^run 6 of 6: finished, about 0 min left$", told, re.MULTILINE)
    assert told.splitlines()[-2:] == [str(REPORT / "report.html"), str(REPORT / "report.pdf")]
    first = files(folder / REPORT)
    page = first["report.html"].decode()
    assert "quick: short runs" in page

    tables = [name for name in first if name.endswith(".csv")]
    assert {"tables/digits-results.csv", "tables/digits-claims.csv", "tables/digits-setup.csv"} <= {*tables}
    for name in tables:
        header, *rows = csv.reader(first[name].decode().splitlines())
        assert rows and all(len(row) == len(header) and all(cell.strip() for cell in row) for row in rows), name
        assert "not run" not in first[name].decode() and name.replace(".csv", ".tex") in first
    figures = [name for name in first if name.startswith("figures/")]
    assert {Path(name).suffix for name in figures} == {".pdf", ".png"}
    drawn = {Path(name).stem for name in figures}
    assert {"digits-curves", "digits-most-wrong-D1"} <= drawn and page.count("<figure") == len(drawn)
    verdicts = [row[2] for row in csv.reader(first["tables/digits-claims.csv"].decode().splitlines())][1:]
    assert verdicts and all(re.match(r"holds|does not hold|undecided \(.+\)", verdict) for verdict in verdicts)

    again = report(folder)
    assert "finished" not in again and re.search(r"^run 6 of 6: skipped", again, re.MULTILINE)
    assert files(folder / REPORT) == first
