"""The command that writes a report, as a user starts it: on embedded data, stopped, gone on with, and again where all is there."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

REPORT = Path("outputs/quick/report-digits")


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "dlhw.report", "digits", "--quick", "--data-root", "nowhere"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def heed_interrupts() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # what a shell starts in the background ignores them

    return subprocess.Popen(command, cwd=folder, env=environment, text=True, start_new_session=True, preexec_fn=heed_interrupts, **pipes)


def report(folder: Path) -> str:
    with start(folder) as process:
        told, errors = process.communicate()
    assert process.returncode == 0, told + errors
    return told


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


@pytest.mark.slow
def test_a_report_that_was_stopped_goes_on(tmp_path: Path) -> None:
    with start(tmp_path) as process:
        assert process.stdout is not None
        while "run 1 of 6" not in (line := process.stdout.readline()):
            assert line, process.communicate()
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        assert process.wait(60) == 130
        assert "the same command goes on from there" in process.communicate()[1]

    with start(tmp_path) as process:
        assert process.stdout is not None
        while "run 2 of 6" not in (line := process.stdout.readline()):
            assert line, process.communicate()
        process.terminate()  # it alone, as a cluster may; its sweep is to stop with it
        told, errors = process.communicate(timeout=60)
        assert process.returncode == 143 and "the same command goes on from there" in errors, told + errors
    states = [json.loads(path.read_text())["status"] for path in tmp_path.rglob("result.json")]
    assert {*states} <= {"finished", "stopped"}

    told = report(tmp_path)
    assert re.search(r"^run 1 of 6: skipped", told, re.MULTILINE) and re.search(r"^run 6 of 6: finished", told, re.MULTILINE)


def test_a_tiny_report_is_whole_and_the_second_time_nothing_is_trained(tmp_path: Path) -> None:
    told = report(tmp_path)
    assert re.search(r"^run 6 of 6: finished, about 0 min left$", told, re.MULTILINE)
    assert told.splitlines()[-2:] == [str(REPORT / "report.html"), str(REPORT / "report.pdf")]
    first = files(tmp_path / REPORT)
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

    again = report(tmp_path)
    assert "finished" not in again and re.search(r"^run 6 of 6: skipped", again, re.MULTILINE)
    assert files(tmp_path / REPORT) == first
