"""Pictures of text lines as arrays of one height: paper is white (255), ink is dark, and a line may be of any width.

Legend: N lines, H height, W width.
"""

import hashlib
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from dlhw.data.line_layout import Line
from dlhw.data.picture_files import FORMATS, Files, opened, reason
from dlhw.errors import UserError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LineSplit:
    """One split of lines. Line i is ``inputs[starts[i] : starts[i] + widths[i]]``, a row for each of its columns.

    ``inputs`` uint8 (sum of W, H); ``starts``, ``widths`` int64 (N,); ``targets`` int16 (N, T) ids; ``names`` the pictures' paths;
    ``groups`` what each line belongs to, a book.
    """

    inputs: np.ndarray
    starts: np.ndarray
    widths: np.ndarray
    targets: np.ndarray
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @classmethod
    def of(cls, columns: list[np.ndarray], targets: np.ndarray, names: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> "LineSplit":
        """A split of lines that are given as one array each, uint8 (W, H)."""
        widths = np.array([len(line) for line in columns], np.int64)
        return cls(np.concatenate(columns), np.cumsum(widths) - widths, widths, targets, names, groups)

    def picture(self, line: int) -> np.ndarray:
        """One line as it is looked at: uint8 (H, W)."""
        return self.inputs[self.starts[line] : self.starts[line] + self.widths[line]].T


def line_columns(data: bytes, height: int, border: int) -> np.ndarray:
    """The bytes of a picture file -> uint8 (W, height): scaled to the height, its levels stretched, white columns on both sides.

    The commoner level is taken for paper: light writing on a dark ground is inverted.

    Raises:
        Exception: of many kinds, where the bytes are no whole picture.
    """
    picture = opened(data, 1)
    levels = np.asarray(picture, np.float32)
    low, paper, high = np.percentile(levels, (0.5, 50, 99.5))
    if paper < (low + high) / 2:
        levels, low, paper = 255 - levels, 255 - high, 255 - paper
    empty = paper - low < 16  # what there is, is noise on a page
    levels = levels + (255 - paper) if empty else (levels - low) * (255 / (paper - low))
    grey = Image.fromarray(levels.clip(0, 255).round().astype(np.uint8))
    width = max(1, round(picture.width * height / picture.height))
    scaled = np.asarray(grey.resize((width, height), Image.Resampling.BILINEAR))
    return np.pad(scaled.T, ((border, border), (0, 0)), constant_values=255)


@lru_cache(maxsize=2)
def read_lines(files: Files, lines: tuple[Line, ...], height: int, border: int) -> tuple[list[np.ndarray], str]:
    """Read and decode the pictures of ``lines``: one uint8 (W, height) each, and one SHA-256 over paths and contents, whatever their order.

    Kept in memory for the next run of a sweep: do not write into it.

    Raises:
        UserError: files that are no whole pictures, named with the rows that name them.
    """
    log.info("decoding %d pictures of %s, once", len(lines), files.path)
    failures: dict[str, str] = {}

    def work(line: Line) -> tuple[np.ndarray | None, str]:
        try:
            data = files.read(line.path)
            return line_columns(data, height, border), f"{line.path} {hashlib.sha256(data).hexdigest()}"
        except Exception as error:  # whatever a decoder raises on foreign bytes
            failures[f"{line.path} ({line.where})"] = reason(error)
            return None, line.path

    with ThreadPoolExecutor() as pool:
        done = list(pool.map(work, lines))
    if failures:
        bad = sorted(failures)
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise UserError(
            f"{files.path}: not readable as a picture: {', '.join(bad[:5])}{more}: {failures[bad[0]]}; replace or remove; "
            f"whole files of type {', '.join(FORMATS)} are right"
        )
    return [columns for columns, _ in done if columns is not None], hashlib.sha256(
        "\n".join(sorted(d for _, d in done)).encode(errors="surrogateescape")
    ).hexdigest()
