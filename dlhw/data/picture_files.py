"""Files of pictures: a folder, a .zip or a .tar, listed and read alike, and how a file becomes an array."""

import hashlib
import logging
import os
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from posixpath import dirname, join, normpath
from threading import Lock

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dlhw.errors import UserError

log = logging.getLogger(__name__)

# What Pillow may open. Not EPS and its like, for which it would start other programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "JPEG2000", "PPM", "TIFF", "WEBP")
DARK = 32  # levels of 255: a set that is darker everywhere is taken for one that was stored wrongly
CLUTTER = ("thumbs.db", "desktop.ini", "__macosx", "@eadir")  # left by file managers; hidden files are passed over as well


@dataclass(frozen=True)
class Files:
    """What lies below ``path``: relative paths with ``/``, sorted, without clutter. Equal where nothing has changed since."""

    path: Path
    stamp: str | tuple[int, int]  # another one when a file has changed
    files: tuple[str, ...] = field(compare=False)
    folders: frozenset[str] = field(compare=False)  # also the empty ones
    read: Callable[[str], bytes] = field(compare=False)


@contextmanager
def open_files(path: Path) -> Iterator[Files]:
    """List a folder, a .zip or a .tar, and keep it open for reading.

    Raises:
        UserError: neither of the three, cut or damaged, or not readable.
    """
    with ExitStack() as stack:
        try:
            files = _list(path, stack)
        except (OSError, zipfile.BadZipFile, tarfile.TarError) as error:
            where, why = getattr(error, "filename", None) or path, getattr(error, "strerror", None) or error
            raise UserError(f"{where} cannot be read ({why}); a whole, readable file is right") from None
        yield files


def _list(path: Path, stack: ExitStack) -> Files:
    if path.is_dir():
        return _folder(path)
    match path.suffix.lower():
        case ".zip":
            return _zip(path, stack.enter_context(zipfile.ZipFile(path)))
        case ".tar":
            return _tar(path, stack.enter_context(tarfile.open(path, "r:")))
    raise UserError(f"{path} is neither a folder nor a .zip nor a .tar file")


def _folder(path: Path) -> Files:
    def stop(error: OSError) -> None:
        raise error

    stamps, folders = {}, set()
    for place, below, names in os.walk(path, onerror=stop, followlinks=True):
        inside = _name(Path(place).relative_to(path).as_posix())
        below[:] = [name for name in below if _wanted(name)]
        folders |= {_name(join(inside, name)) for name in below}
        for name in filter(_wanted, names):
            status = os.stat(os.path.join(place, name))
            stamps[_name(join(inside, name))] = (status.st_size, status.st_mtime_ns)
    stamp = hashlib.sha256(repr(sorted(stamps.items())).encode()).hexdigest()
    return Files(path, stamp, tuple(sorted(stamps)), frozenset(folders), lambda name: (path / name).read_bytes())


def _zip(path: Path, archive: zipfile.ZipFile) -> Files:
    members = {_name(member.filename): member for member in archive.infolist()}
    files = [name for name, member in members.items() if not member.is_dir()]
    return _archive(path, files, members.keys() - set(files), lambda name: archive.read(members[name]))


def _tar(path: Path, archive: tarfile.TarFile) -> Files:
    members = {_name(member.name): member for member in archive.getmembers() if member.isfile() or member.isdir()}
    lock = Lock()  # a tar file has one reading position

    def read(name: str) -> bytes:
        with lock:
            file = archive.extractfile(members[name])
            assert file
            return file.read()

    files = [name for name, member in members.items() if member.isfile()]
    return _archive(path, files, members.keys() - set(files), read)


def _archive(path: Path, files: list[str], folders: set[str], read: Callable[[str], bytes]) -> Files:
    wanted = sorted(name for name in files if all(map(_wanted, name.split("/"))))
    new = {name for name in folders if all(map(_wanted, name.split("/")))} | {dirname(name) for name in wanted}
    above: set[str] = set()
    while new:
        above |= new
        new = {dirname(name) for name in new} - above
    status = path.stat()
    return Files(path, (status.st_mtime_ns, status.st_size), tuple(wanted), frozenset(above - {""}), read)


def _name(member: str) -> str:
    """A member's path as archives of all kinds should write it: ``./train/cat/`` is ``train/cat``."""
    return normpath(member.lstrip("/"))


def _wanted(name: str) -> bool:
    return not name.startswith(".") and name.lower() not in CLUTTER


@lru_cache(maxsize=2)
def decode_all(files: Files, names: tuple[str, ...], size: int, channels: int) -> tuple[np.ndarray, str]:
    """Read and decode ``names``: uint8 (N, size, size, channels), and one SHA-256 over paths, lengths and contents, whatever their order.

    Kept in memory for the next run of a sweep: do not write into it.

    Raises:
        UserError: files that are no whole pictures, named.
    """
    log.info("decoding %d pictures of %s, once", len(names), files.path)
    pictures = np.empty((len(names), size, size, channels), np.uint8)
    failures: dict[str, str] = {}

    def work(row: int) -> str:
        data = b""
        try:
            data = files.read(names[row])
            pictures[row] = decode(data, size, channels)
        except Exception as error:  # whatever a decoder raises on foreign bytes
            failures[names[row]] = reason(error)
        return f"{names[row]} {len(data)} {hashlib.sha256(data).hexdigest()}"

    with ThreadPoolExecutor() as pool:
        lines = list(pool.map(work, range(len(names))))
    if failures:
        bad = sorted(failures)
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise UserError(
            f"{files.path}: not readable as a picture: {', '.join(bad[:5])}{more} ({failures[bad[0]]}); replace or remove; "
            f"whole files of type {', '.join(FORMATS)} are right"
        )
    if (brightest := pictures.max()) < DARK:
        log.warning(
            "%s: no level is above %d of 255, so little is left of the pictures: 12 bits in files of 16 are to be spread over all 16",
            files.path,
            brightest,
        )
    return pictures, hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def reason(error: Exception) -> str:
    """Why :func:`decode` has refused a file, in words."""
    return "of no known type" if isinstance(error, UnidentifiedImageError) else str(error) or type(error).__name__


def decode(data: bytes, size: int, channels: int) -> np.ndarray:
    """The bytes of a picture file -> uint8 (size, size, channels): as :func:`opened`, stretched to a square, bilinear with antialias.

    Raises:
        Exception: of many kinds, where the bytes are no whole picture.
    """
    return np.asarray(opened(data, channels).resize((size, size), Image.Resampling.BILINEAR)).reshape(size, size, channels)


def opened(data: bytes, channels: int) -> Image.Image:
    """The bytes of a picture file -> a picture of its own size, turned as its EXIF says: RGB for 3 channels, grey levels for 1.

    What is transparent becomes white; 16-bit grey levels become 8-bit ones; of an animation the first picture is taken.

    Raises:
        Exception: of many kinds, where the bytes are no whole picture.
    """
    picture: Image.Image = Image.open(BytesIO(data), formats=FORMATS)
    ImageOps.exif_transpose(picture, in_place=True)
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        levels = np.asarray(picture)
        if levels.min() < 0 or levels.max() > 65535:
            raise ValueError("more than 16 bits a channel")
        picture = Image.fromarray((levels / 257).round().astype(np.uint8))
    if picture.mode == "F":
        raise ValueError("floating-point levels, whose range is not known")
    if picture.mode in ("LA", "PA", "RGBA") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    mode = "RGB" if channels == 3 else "L"
    return picture.convert(mode)  # decodes the pixels, if nothing else has
