"""Chapters of the report in a notebook: the same tables, figures and verdicts, some sections at a time."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from dlhw.config import CONF
from dlhw.errors import UserError
from dlhw.options import MODULES
from dlhw.report import document
from dlhw.report.build import build
from dlhw.report.chapters import plans
from dlhw.report.claims import load_claims
from dlhw.report.plan import Plan
from dlhw.report.render import html_templates
from dlhw.report.runs import Record, load_records, select
from dlhw.run_folder import BEST


class Shown:
    """Sections as Jupyter shows them; above all but the first stands a title."""

    def __init__(self, sections: Sequence[document.Section]) -> None:
        self.sections = sections

    def _repr_html_(self) -> str:
        return html_templates().get_template("notebook.html.j2").render(sections=self.sections)

    def __repr__(self) -> str:
        return f"<{', '.join(section.title for section in self.sections)}>"


class Chapter(Shown):
    """A chapter, which shows how much of it has been run; ``chapter["Results", "Claims"]`` are two of its sections.

    A chapter has some sections only where there is something to say; without it they are passed over.
    """

    def __init__(self, content: document.Chapter, about: Sequence[str]) -> None:
        super().__init__([document.Section(content.title, about)])
        self.content = content

    def __getitem__(self, titles: str | tuple[str, ...]) -> Shown:
        wanted = (titles,) if isinstance(titles, str) else titles
        nothing = f"Nothing yet. This chapter has: {', '.join(section.title for section in self.content.sections)}."
        found = [section for section in self.content.sections if section.title in wanted]
        return Shown(found or [document.Section(wanted[0], [nothing])])


def chapter(name: str, results: str | Path, missing: bool = True) -> Chapter:
    """A chapter of the report from the finished runs below the folder ``results``.

    Args:
        missing: show the systems that have not been run, too.

    Raises:
        UserError: no such chapter or folder.
    """
    known = plans()
    if name not in known:
        raise UserError(f"there is no chapter {name}: there are {', '.join(known)}")
    if not Path(results).is_dir():
        raise UserError(f"{results} is no folder; a folder with runs below it is right, such as ../outputs/reference")
    plan, records = known[name], load_records(Path(results))
    shown = plan if missing else replace(plan, rows=[row for row in plan.rows if select(records, row.where)])
    return Chapter(build(shown, records, load_claims()), _about(plan, records, results))


def newest(folder: str | Path) -> Path:
    """The folder of the run below ``folder`` that was finished last.

    Raises:
        UserError: there is none.
    """
    records = load_records(Path(folder))
    if not records:
        raise UserError(f"there is no finished run below {folder}")
    return max(records, key=lambda record: str(record.result["finished"])).folder


def _about(plan: Plan, records: Sequence[Record], results: str | Path) -> list[str]:
    """How much of a chapter has been run, and the command that shows or trains more."""
    systems = [runs for row in plan.rows if (runs := select(records, row.where))]
    used = {run.folder: run for runs in systems for run in runs}
    lines = [f"{plan.title}: {len(systems)} of {len(plan.rows)} systems have been run, {len(used)} runs below {results}."]
    if with_weights := [run for run in used.values() if (run.folder / BEST).exists()]:
        run = with_weights[0]
        folder = os.path.relpath(run.folder.resolve(), CONF.parent.resolve())
        of_pictures = MODULES[run.result["spec"]["spec"]] == "pictures"
        command = f"python predict.py run={folder} input=FOLDER" if of_pictures else f"python -m dlhw.explain run={folder}"
        said = "The weights of {} are there; in the project's folder this shows more of one: <code>{}</code>"
        lines.append(Markup(said).format(len(with_weights), command))
    else:
        said = "No weights are there; in the project's folder <code>make report-{}</code> trains what is missing."
        lines.append(Markup(said).format(plan.name))
    return lines
