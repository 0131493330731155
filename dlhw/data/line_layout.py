"""Which pictures of text lines there are, and what is written on them: a table ``labels.tsv``, or a ``.gt.txt`` beside each picture."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from posixpath import dirname, join, normpath

from dlhw.data.arrays import SPLITS
from dlhw.data.picture_files import Files
from dlhw.data.vocab import normalized
from dlhw.errors import UserError
from dlhw.randomness import derive

log = logging.getLogger(__name__)

QUOTED = re.compile(r'"(?=.*"")(?:[^"]|"")*"')  # as programs write a field that holds quotes; such a text stands on no page
TABLE, TRANSCRIPT = "labels.tsv", ".gt.txt"
# What stands between the name of a transcript and that of its picture; OCRopus writes the long ones.
PICTURES = tuple(
    f"{kind}{ending}"
    for kind in ("", ".nrm", ".bin", ".dew")
    for ending in (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2", ".pgm", ".ppm")
)
RIGHT = f"a {TABLE} with the columns path, text and, if you like, split and group, or pairs NAME.png and NAME{TRANSCRIPT} are right"


@dataclass(frozen=True)
class Line:
    """A picture of a line: its path below the folder, its transcript, its group (a book), where that stands, its split if any is said."""

    path: str
    text: str
    group: str
    where: str
    split: str = ""


def find_lines(files: Files, normalization: str) -> list[Line]:
    """The lines of a folder or archive, sorted by path; the group is a column of the table or the picture's folder.

    Args:
        normalization: Unicode form of the transcripts.

    Raises:
        UserError: with file and row: no table and no pairs, wrong columns or encoding, no picture, an empty transcript, one picture twice.
    """
    names = [name for name in files.files if name.rsplit("/", 1)[-1] == TABLE]
    if len(names) > 1:
        raise UserError(f"{files.path} has {len(names)} tables, {', '.join(names[:3])}; one {TABLE} for all pictures is right")
    lines = _of_table(files, names[0], normalization) if names else _of_pairs(files, normalization)
    seen: dict[str, str] = {}
    for line in lines:
        if line.path in seen:
            raise UserError(f"{line.where}: the picture {line.path} stands in {seen[line.path]} already; each picture once is right")
        seen[line.path] = line.where
        if not line.text:
            raise UserError(f"{line.where}: the transcript is empty; leave the line out or write what stands on it")
    told = {base_of(line.path) for line in lines}
    if untold := [name for name in files.files if (base := base_of(name)) != name and base not in told]:
        log.warning("%s: %d pictures have no transcript and are left out, the first is %s", files.path, len(untold), untold[0])
    return sorted(lines, key=lambda line: line.path)


def base_of(name: str) -> str:
    """The name of a picture without its ending, which is one of ``PICTURES``; of another file the name as it is."""
    return name[: -len(max((ending for ending in PICTURES if name.lower().endswith(ending)), key=len, default="")) or None]


def _of_table(files: Files, name: str, normalization: str) -> list[Line]:
    place, folder, known = files.path / name, dirname(name), frozenset(files.files)
    rows = [_text(raw, f"{place}, row {number}") for number, raw in enumerate(_rows(files.read(name)), 1)]
    columns = rows[0].split("\t") if rows else []
    if not {"path", "text"} <= set(columns) or len(set(columns)) < len(columns):
        raise UserError(f"{place}: its first row is {', '.join(columns)[:100] or 'empty'}; {RIGHT}, with tabs between the columns")
    lines = []
    for number, row in enumerate(rows[1:], 2):
        where, cells = f"{place}, row {number}", row.split("\t")
        if not row:
            continue
        if len(cells) != len(columns):
            raise UserError(f"{where}: {len(cells)} columns; {len(columns)} are right: {', '.join(columns)}")
        if quoted := next((cell for cell in cells if QUOTED.fullmatch(cell)), ""):
            raise UserError(f"{where}: {quoted[:60]} has been put in quotes; a field as it is read on the page, without them, is right")
        said = dict(zip(columns, cells, strict=True))
        path = normpath(join(folder, said["path"]))
        if path not in known:
            raise UserError(f"{where}: the picture {path} is missing below {files.path}")
        split = said.get("split", "")
        if "split" in said and split not in SPLITS:
            raise UserError(f"{where}: split {split or '(empty)'} is not one of {', '.join(SPLITS)}")
        group = said.get("group", dirname(normpath(said["path"])))
        if "group" in said and not group.strip():
            raise UserError(f"{where}: the group is empty; a book's name is right, or no column group")
        lines.append(Line(path, normalized(said["text"], normalization).strip(), group, where, split))
    if not lines:
        raise UserError(f"{place} has no rows below its head; one for each picture is right")
    return lines


def _of_pairs(files: Files, normalization: str) -> list[Line]:
    pictures_of, lines = {(base := base_of(name)) + name[len(base) :].lower(): name for name in files.files}, []
    for name in files.files:
        if not name.endswith(TRANSCRIPT):
            continue
        base, where = name.removesuffix(TRANSCRIPT), str(files.path / name)
        pictures = [pictures_of[base + ending] for ending in PICTURES if base + ending in pictures_of]
        if not pictures:
            raise UserError(f"{where}: there is no picture {base}.png beside it")
        rows = [_text(raw, f"{where}, row {number}") for number, raw in enumerate(_rows(files.read(name)), 1)]
        if len([row for row in rows if row.strip()]) > 1:
            raise UserError(f"{where} has several rows; the text of one line is right")
        lines.append(Line(pictures[0], normalized(" ".join(rows), normalization).strip(), dirname(base), where))
    if not lines:
        raise UserError(f"{files.path} has neither: {RIGHT}")
    return lines


def _rows(data: bytes) -> list[bytes]:
    """The rows of a text file, whatever ends them; not at the characters beyond ASCII at which str.splitlines also cuts."""
    return data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").removesuffix(b"\n").split(b"\n")


def _text(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 at byte {error.start + 1} of the row; save the file in UTF-8") from None


def way_to_split(split: str, lines: Sequence[Line], source: str) -> str:
    """``column``, ``line`` or ``group``; ``auto`` is ``column`` where the lines have their splits, else ``line``.

    Raises:
        UserError: ``column`` for lines without splits.
    """
    chosen = split if split != "auto" else "column" if lines[0].split else "line"
    if chosen == "column" and not lines[0].split:
        raise UserError(f"task.data.split=column: the lines of {source} come without splits; split=line or split=group cuts at random")
    return chosen


def split_lines(
    lines: Sequence[Line], way: str, shares: dict[str, float], seed: int, test_groups: Sequence[str], source: str
) -> dict[str, list[Line]]:
    """The lines of each split.

    Args:
        way: ``column`` takes the splits that the table says, and cuts single lines off the training split where it says none for
            validation; ``line`` cuts single lines, ``group`` whole groups at random.
        shares: ``val`` and ``test`` -> share of the lines or groups, at least one.
        seed: of the cut, which depends on it and on the paths alone.
        test_groups: all lines of these groups are the test split, and what else would be in it is left out.
        source: folder, for messages.

    Raises:
        UserError: no such group, a split without lines.
    """
    groups = sorted({line.group for line in lines})
    if unknown := sorted(set(test_groups) - set(groups)):
        raise UserError(f"task.data.test_groups: {', '.join(unknown)} is no group of {source}; they are {', '.join(groups)}")
    rest = [line for line in lines if line.group not in test_groups]
    wanted = {name: share for name, share in shares.items() if not (test_groups and name == "test")}
    if way == "column":
        wanted = {} if any(line.split == "val" for line in rest) else {"val": shares["val"]}
    units = sorted(
        {_unit(line, way) for line in rest if way != "column" or line.split == "train"}, key=lambda unit: derive("split", seed, unit)
    )
    of: dict[str, str] = {}
    for name, share in wanted.items():
        left = [unit for unit in units if unit not in of]
        of |= dict.fromkeys(left[: max(1, round(len(units) * share))], name)
    rest = [replace(line, split=of.get(_unit(line, way), line.split if way == "column" else "train")) for line in rest]
    found = {name: [line for line in rest if line.split == name] for name in SPLITS}
    if test_groups:
        found["test"] = [line for line in lines if line.group in test_groups]
    for name, members in found.items():
        if not members:
            if way == "column" and not any(line.split == name for line in lines):
                raise UserError(
                    f"{source}: no row of the table is for the split {name}; some are needed, or task.data.split=line, which cuts anew"
                )
            what = f"{len(groups)} groups" if way == "group" else f"{len(lines)} lines"
            raise UserError(f"{source}: no line is left for the split {name} of {what} (task.data.split={way}); more of them are needed")
    return found


def _unit(line: Line, way: str) -> str:
    return line.group if way == "group" else line.path
