"""Arrays of an .npz file: read once per process, never through pickle, and mapped from the disk where they are large."""

import hashlib
import logging
import os
import shutil
import zipfile
import zlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from dlhw.atomic_file import replacing
from dlhw.data.download import BLOCK
from dlhw.errors import UserError

log = logging.getLogger(__name__)

IN_MEMORY = 1 << 30  # bytes: where the first array is larger, the large ones are unpacked beside the file and mapped

# What zipfile, zlib and NumPy raise on a file that is cut, damaged, or no .npz at all.
UNREADABLE = (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error)


def load_npz(path: Path, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], str]:
    """The arrays ``keys`` of a file and the file's SHA-256. Do not write into the arrays: the next run of a sweep gets the same ones.

    Where the first of ``keys`` takes more than ``IN_MEMORY`` bytes, every array that is no small one is unpacked once into
    ``<path>.unpacked/<key>.npy`` and comes as a ``np.memmap``.

    Raises:
        UserError: the file is cut or damaged, an array is missing or holds Python objects, or there is no room to unpack.
    """
    try:
        status = path.stat()
        arrays, digest = _load(path.resolve(), tuple(keys), status.st_mtime_ns, status.st_size)
    except UNREADABLE as error:
        raise UserError(
            f"{path} cannot be read ({getattr(error, 'strerror', None) or error}): a whole .npz file with arrays of plain numbers "
            f"is right; take this one away and fetch it again"
        ) from None
    return dict(arrays), digest


@lru_cache(maxsize=2)
def _load(path: Path, keys: tuple[str, ...], mtime_ns: int, size: int) -> tuple[dict[str, np.ndarray], str]:
    """``mtime_ns`` and ``size`` are here for the cache: another file under the same name is read anew."""
    with zipfile.ZipFile(path) as archive:
        held = {name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")}
        if missing := [key for key in keys if key not in held]:
            raise UserError(f"{path} lacks {', '.join(missing)}; it holds {', '.join(sorted(held)) or 'no array'}")
        large = archive.getinfo(f"{keys[0]}.npy").file_size > IN_MEMORY
        arrays = {key: _map(path, archive, key) if large else _read(archive, key) for key in keys}
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return arrays, digest


def _read(archive: zipfile.ZipFile, key: str) -> np.ndarray:
    with archive.open(f"{key}.npy") as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        if member.read(1):  # also makes zipfile compare the checksum, which it does at the end only
            raise ValueError(f"{key} is longer than its header says")
    return array


def _map(path: Path, archive: zipfile.ZipFile, key: str) -> np.ndarray:
    """As :func:`_read`, from a copy on the disk. The copy bears the time stamp of the file that it was made from."""
    member, source = archive.getinfo(f"{key}.npy"), path.stat()
    if member.file_size <= BLOCK:
        return _read(archive, key)
    target = path.with_name(f"{path.name}.unpacked") / f"{key}.npy"
    if not target.exists() or (target.stat().st_size, target.stat().st_mtime_ns) != (member.file_size, source.st_mtime_ns):
        log.info("unpacking %s of %s (%.1f GB), once", key, path, member.file_size / 1e9)
        with replacing(target) as temporary:
            with archive.open(member) as packed, open(temporary, "wb") as file:
                shutil.copyfileobj(packed, file, BLOCK)
            os.utime(temporary, ns=(source.st_mtime_ns, source.st_mtime_ns))
    return np.load(target, mmap_mode="r", allow_pickle=False)
