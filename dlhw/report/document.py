"""What a report consists of, without saying how it looks: the same parts become HTML, PDF, LaTeX and CSV."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from matplotlib.figure import Figure as Drawing


@dataclass(frozen=True)
class Table:
    """Cells of text. ``name`` is its file name, without an ending; the first ``text_columns`` columns hold words, the others numbers,
    which are not broken into lines. The columns in ``wide`` share the room that the others leave; one that stands there twice gets two
    parts of it.
    """

    name: str
    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    text_columns: int = 1
    notes: Sequence[str] = ()
    wide: Sequence[int] = ()


@dataclass(frozen=True)
class Figure:
    """A drawing with what is to be seen in it. ``name`` is its file name, without an ending; two ``half`` ones stand side by side."""

    name: str
    caption: str
    drawing: Drawing
    half: bool = False


@dataclass(frozen=True)
class Section:
    """A heading with paragraphs, tables and figures, in this order."""

    title: str
    paragraphs: Sequence[str] = ()
    tables: Sequence[Table] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True)
class Chapter:
    """One of the course reports. ``name`` is what it is called on the command line; ``glance`` its line of the table at the beginning."""

    name: str
    title: str
    sections: Sequence[Section]
    glance: Sequence[str] = ()


@dataclass(frozen=True)
class Document:
    """A whole report; ``mark`` stands on every page, such as that the runs were short ones."""

    title: str
    chapters: Sequence[Chapter]
    introduction: Sequence[str] = ()
    mark: str = ""
    made: Sequence[tuple[str, str]] = field(default_factory=tuple)

    @property
    def glance(self) -> list[Table]:
        """The chapters with their runs and how many of their claims hold; none for a single chapter."""
        rows = [chapter.glance for chapter in self.chapters if chapter.glance]
        columns = ["chapter", "data", "runs", "claims that hold", "do not hold", "undecided"]
        return [Table("at-a-glance", "The chapters, the runs behind their tables, and their claims.", columns, rows, 2)] if rows[1:] else []

    @property
    def tables(self) -> list[Table]:
        return self.glance + [table for chapter in self.chapters for section in chapter.sections for table in section.tables]

    @property
    def figures(self) -> list[Figure]:
        return [figure for chapter in self.chapters for section in chapter.sections for figure in section.figures]
