"""Fetching a file: whole and with the right checksum, or not at all."""

import hashlib
import http.client
import logging
import urllib.request
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dlhw.atomic_file import replacing
from dlhw.errors import UserError

log = logging.getLogger(__name__)

TIMEOUT = 30  # seconds without an answer until a download is given up
BLOCK = 1 << 20  # bytes


class Unreachable(Exception):
    """An address gives no answer, or the connection broke; the text is the reason."""


def download(url: str, path: Path, md5: str) -> None:
    """Fetch a file under a temporary name and rename it once it is whole.

    Raises:
        Unreachable: the address cannot be reached, or the connection broke.
        UserError: what came has another MD5, or cannot be written.
    """
    request = urllib.request.Request(url, headers={"User-Agent": "dlhw"})
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(getattr(error, "reason", None) or error) from None
    log.info("downloading %s to %s", url, path)
    digest = hashlib.md5(usedforsecurity=False)
    with response, replacing(path) as temporary:
        with open(temporary, "wb") as file, tqdm(total=response.length, unit="B", unit_scale=True, disable=None) as bar:
            while block := _next(response):
                file.write(block)
                digest.update(block)
                bar.update(len(block))
        if digest.hexdigest() != md5:
            raise UserError(
                f"the download of {url} is damaged: its MD5 is {digest.hexdigest()}, {md5} is right; nothing was kept, start again"
            )


def _next(response: Any) -> bytes:
    try:
        return response.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"the connection broke: {error}") from None
