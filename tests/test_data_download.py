"""A download is in place whole and verified, or not at all."""

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlhw.data.download import Unreachable, download
from dlhw.errors import UserError

CONTENT = bytes(range(256)) * 9000  # more than one block
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """/whole gives the content, /cut its first half and then hangs up, anything else is not there."""

    def do_GET(self):
        if self.path not in ("/whole", "/cut"):
            self.send_error(404, "Not Found")
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT if self.path == "/whole" else CONTENT[: len(CONTENT) // 2])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
        thread = threading.Thread(target=web.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{web.server_port}"
        web.shutdown()
        thread.join()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_whole_file_takes_its_place(tmp_path, server):
    download(f"{server}/whole", tmp_path / "sets" / "file.npz", MD5)
    assert (tmp_path / "sets" / "file.npz").read_bytes() == CONTENT
    assert left(tmp_path) == ["file.npz"]


def test_another_checksum_keeps_what_was_there(tmp_path, server):
    (tmp_path / "file.npz").write_text("before")
    with pytest.raises(UserError, match=rf"is damaged: its MD5 is {MD5}, abc is right"):
        download(f"{server}/whole", tmp_path / "file.npz", "abc")
    assert left(tmp_path) == ["file.npz"]
    assert (tmp_path / "file.npz").read_text() == "before"


def test_a_broken_connection_leaves_nothing(tmp_path, server):
    with pytest.raises((UserError, Unreachable), match=r"is damaged|connection broke"):
        download(f"{server}/cut", tmp_path / "file.npz", MD5)
    assert left(tmp_path) == []


def test_an_address_that_does_not_answer_changes_nothing(tmp_path, server):
    with pytest.raises(Unreachable, match="Not Found"):
        download(f"{server}/nothing", tmp_path / "sets" / "file.npz", MD5)
    with pytest.raises(Unreachable, match="refused"):
        download("http://127.0.0.1:9/file.npz", tmp_path / "sets" / "file.npz", MD5)  # port 9 takes no connections
    assert not (tmp_path / "sets").exists()
