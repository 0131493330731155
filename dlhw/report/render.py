"""A document as files: one HTML page, a PDF, and beside them each table as CSV and LaTeX, each figure as PDF and PNG.

The same document gives the same bytes.
"""

import csv
import io
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typst
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure as Drawing

from dlhw.atomic_file import replacing, write_text
from dlhw.report.curves import saving, svg
from dlhw.report.document import Document, Figure, Table

HERE = Path(__file__).parent
NO_DATES = {
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": None},
}
DPI = 200


def write_document(document: Document, folder: Path) -> list[Path]:
    """Write ``report.html``, ``report.pdf``, ``tables/`` and ``figures/`` below ``folder``; returns the two documents."""
    for old in ("figures", "tables"):  # of another report
        shutil.rmtree(folder / old, ignore_errors=True)
    for figure in document.figures:
        for ending in ("svg", "pdf", "png"):
            _write_bytes(folder / "figures" / f"{figure.name}.{ending}", drawn(figure.drawing, ending))
    for table in document.tables:
        write_text(folder / "tables" / f"{table.name}.csv", as_csv(table))
        write_text(folder / "tables" / f"{table.name}.tex", as_latex(table))
    write_text(folder / "report.html", as_html(document))
    _write_bytes(folder / "report.pdf", as_pdf(document, folder))
    for figure in document.figures:  # the PDF has been made of them
        (folder / "figures" / f"{figure.name}.svg").unlink()
    return [folder / "report.html", folder / "report.pdf"]


def drawn(drawing: Drawing, ending: str) -> bytes:
    """A drawing as the content of a file, without dates and names of programs in it."""
    file = io.BytesIO()
    with saving():
        drawing.savefig(file, format=ending, dpi=DPI, bbox_inches="tight", metadata=NO_DATES[ending], transparent=ending != "png")
    return file.getvalue()


def _write_bytes(path: Path, content: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def as_html(document: Document) -> str:
    """One page that loads nothing from anywhere."""
    return html_templates().get_template("report.html.j2").render(document=document)


def html_templates() -> Environment:
    """The templates of HTML, with the filters that they use."""
    templates = Environment(loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    templates.filters["whole"] = whole
    templates.filters["svg"] = lambda figure: Markup(svg(figure.drawing, figure.name, figure.caption))
    return templates


def as_pdf(document: Document, folder: Path) -> bytes:
    """The document set by Typst; ``folder`` holds the figures."""
    templates = Environment(
        loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    templates.filters["text"] = typst_text
    templates.filters["breakable"] = breakable
    templates.filters["side_by_side"] = side_by_side
    templates.filters["whole"] = whole
    source = templates.get_template("report.typ.j2").render(document=document)
    root: Any = str(folder.resolve())  # typst's own types want it to be like the source
    return typst.compile(source.encode(), root=root, format="pdf", ignore_system_fonts=True, timestamp=0)


def typst_text(text: str) -> str:
    """``text`` as a string of Typst's, so that no character of it is markup."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def side_by_side(figures: Sequence[Figure]) -> list[list[Figure]]:
    """Figures in rows: two neighbours that are ``half`` share one."""
    rows: list[list[Figure]] = []
    for figure in figures:
        if figure.half and rows and len(rows[-1]) == 1 and rows[-1][0].half:
            rows[-1].append(figure)
        else:
            rows.append([figure])
    return rows


def whole(cell: str) -> str:
    """A number with its interval, to be broken into lines before the interval only."""
    number, bracket, interval = cell.partition(" [")
    return number.replace(" ", "\u00a0") + bracket + interval.replace(" ", "\u00a0")


def breakable(cell: str) -> str:
    """Words that may be broken after the signs that join names in code."""
    return re.sub(r"((?<=\w)[(/_=])", "\\1\u200b", cell)


def as_csv(table: Table) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows([table.columns, *table.rows])
    return file.getvalue()


def as_latex(table: Table) -> str:
    """A ``longtable``, which may go over several pages; it needs the packages longtable, booktabs and array."""
    room = 0.9 - 0.1 * (len(table.columns) - len({*table.wide}))  # of the width of the lines, that the wide columns share
    kinds = [
        rf">{{\raggedright}}p{{{room * table.wide.count(column) / len(table.wide):.2f}\linewidth}}"
        if column in table.wide
        else "l"
        if column < table.text_columns
        else "r"
        for column in range(len(table.columns))
    ]
    lines = [
        rf"\begin{{longtable}}{{{''.join(kinds)}}}",
        rf"\caption{{{latex_text(table.caption)}}} \tabularnewline",
        r"\toprule",
        " & ".join(map(latex_text, table.columns)) + r" \tabularnewline",
        r"\midrule",
        r"\endhead",
        *(" & ".join(map(latex_text, row)) + r" \tabularnewline" for row in table.rows),
        r"\bottomrule",
        r"\end{longtable}",
    ]
    return "\n".join(lines) + "\n"


_LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
}
_LATEX |= {"\u00b1": r"$\pm$", "\u2265": r"$\geq$", "\u2264": r"$\leq$", "\u2192": r"$\rightarrow$", "\u2212": "$-$", "\u00d7": r"$\times$"}
_LATEX |= {"\u2013": "--", "\u2026": r"\ldots{}", "\u00b7": r"$\cdot$"}


def latex_text(text: str) -> str:
    """``text`` with LaTeX's special characters written out."""
    return "".join(_LATEX.get(letter, letter) for letter in text)
