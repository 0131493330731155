"""Checkpoint files: written whole or not at all, with a SHA-256 beside them that is verified before they are read."""

import hashlib
import pickle
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO

from dlhw.errors import UserError
from dlhw.run_folder import replacing, write_text


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
    try:
        expected = digest_path(path).read_text().split()
    except FileNotFoundError:
        missing = path if not path.exists() else digest_path(path)
        raise UserError(f"{missing} is missing: delete the folder {path.parent} and start the run again") from None
    if sha256_of(path) not in expected:
        raise UserError(f"{path} is damaged (its SHA-256 is not the one in {digest_path(path).name}): delete it and start the run again")
    try:
        return torch.load(path, map_location=map_location, weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UserError(f"{path} cannot be read ({error}): delete it and start the run again") from None


class SafeCheckpointIO(CheckpointIO):
    """Lightning's writer and reader of checkpoints, replaced: Lightning's own goes through the system's temporary folder.

    The digest file names the new and the old SHA-256 while the checkpoint is being replaced, so that a kill between the two renames
    leaves a pair that fits.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        path = Path(path)
        digest = digest_path(path)
        with replacing(path) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # what torch's zip writer makes of a full disk
                raise OSError(None, str(error).splitlines()[0]) from error
            new = sha256_of(temporary)
            old = digest.read_text().split()[:1] if digest.exists() else []
            write_text(digest, "\n".join([new, *old]) + "\n")

    def load_checkpoint(self, path: Any, map_location: Any | None = None, weights_only: bool | None = None) -> dict[str, Any]:
        return load_checkpoint(Path(path), map_location or "cpu")

    def remove_checkpoint(self, path: Any) -> None:
        Path(path).unlink(missing_ok=True)
        digest_path(Path(path)).unlink(missing_ok=True)
