"""Checkpoint files: written whole or not at all, with a SHA-256 beside them that is verified before they are read."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from dlhw.atomic_file import replacing, write_text
from dlhw.errors import UserError


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_path(path: Path) -> Path:
    """Where the SHA-256 of a checkpoint stands."""
    return path.with_name(f"{path.name}.sha256")


def load_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Verify and read a checkpoint; only plain data is unpickled.

    Raises:
        UserError: the file is missing, truncated or altered.
    """
    remedy = f"move the run's folder {path.parent.parent} away and start it again"
    try:
        expected, found = _digests(path), sha256_of(path)
    except FileNotFoundError as error:
        raise UserError(f"{error.filename} is missing: {remedy}") from None
    if found not in expected:
        raise UserError(f"{path} is damaged (its SHA-256 is not the one in {digest_path(path).name}): {remedy}")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}): {remedy}") from None


class SafeCheckpointIO(CheckpointIO):
    """Lightning's writer and reader of checkpoints, replaced: Lightning's own goes through the system's temporary folder.

    The digest file names the new SHA-256 and the old while the checkpoint is being replaced, so a kill between two renames leaves a pair
    that fits.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        digest = digest_path(path)
        old = _digests(path) if digest.exists() else []
        with replacing(path) as temporary:
            _save(checkpoint, temporary)
            new = sha256_of(temporary)
            write_text(digest, "\n".join([new, *old]) + "\n")
        if old:
            write_text(digest, f"{new}\n")

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
        digest_path(Path(path)).unlink(missing_ok=True)


def _digests(path: Path) -> list[str]:
    return digest_path(path).read_text(errors="replace").split()


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        with open(path, "wb") as file:
            torch.save(checkpoint, file)
    except RuntimeError as error:  # on a full disk: that of torch's zip writer, which follows the disk's own
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        raise
