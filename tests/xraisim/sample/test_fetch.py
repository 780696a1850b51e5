import gzip
import http.server
import threading

import pytest

from xraisim.core.errors import StructureError
from xraisim.sample import fetch

MMCIF = gzip.compress(b"data_1ABC\nloop_\n_atom_site.id\n1\n")


class Archive:
    """A local stand-in for a wwPDB site: answers from ``files``, counts the requests."""

    def __init__(self) -> None:
        self.files: dict[str, list[bytes]] = {}
        self.requests: list[str] = []


@pytest.fixture
def archive(monkeypatch, tmp_path):
    archive = Archive()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            archive.requests.append(self.path)
            answers = archive.files.get(self.path)
            if not answers:
                self.send_error(404)
                return
            body = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(200)
            self.send_header("Content-Length", str(len(MMCIF)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    site = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("XRAI_STRUCTURE_SITES", f"{site}/a/{{id}}.cif.gz {site}/b/{{middle}}/{{id}}")
    monkeypatch.setenv("XRAI_CACHE", str(tmp_path / "cache"))
    yield archive
    server.shutdown()
    thread.join()
    server.server_close()


def fetched(identifier: str):
    return fetch.cached_or_fetched(identifier, backoff_s=0.001)


def test_a_structure_is_fetched_once_and_then_cached(archive):
    archive.files["/a/1abc.cif.gz"] = [MMCIF]
    path = fetched("1abc")
    assert path.read_bytes() == MMCIF
    assert fetched("1abc") == path
    assert len(archive.requests) == 1
    assert not list(path.parent.glob("*.partial"))


def test_the_second_site_is_asked_when_the_first_lacks_the_file(archive):
    archive.files["/b/ab/1abc"] = [MMCIF]
    assert fetched("1abc").read_bytes() == MMCIF


@pytest.mark.parametrize("broken", [MMCIF[:-8], b"x" * len(MMCIF)], ids=["short", "wrong"])
def test_a_broken_transfer_is_tried_again(archive, broken):
    archive.files["/a/1abc.cif.gz"] = [broken, MMCIF]
    assert fetched("1abc").read_bytes() == MMCIF


def test_a_transfer_that_stays_broken_is_an_error_and_leaves_nothing(archive):
    archive.files["/a/1abc.cif.gz"] = [b"x" * len(MMCIF)]
    with pytest.raises(StructureError, match=r"could not be fetched.*not a whole gzip"):
        fetched("1abc")
    assert not list(fetch.cache_directory().glob("*"))


def test_an_unknown_identifier_says_so(archive):
    with pytest.raises(StructureError, match=r"no structure '9zzz' in the PDB archive"):
        fetched("9zzz")
    assert len(archive.requests) == 2, "404 is an answer: it is not asked again"


def test_no_network_is_told_apart_from_an_unknown_identifier(monkeypatch, tmp_path):
    monkeypatch.setenv("XRAI_STRUCTURE_SITES", "http://127.0.0.1:9/{id}")
    monkeypatch.setenv("XRAI_CACHE", str(tmp_path))
    with pytest.raises(StructureError, match=r"could not be fetched.*Check the network"):
        fetched("1abc")


def test_a_cached_file_that_changed_is_refused(archive):
    archive.files["/a/1abc.cif.gz"] = [MMCIF]
    path = fetched("1abc")
    path.write_bytes(MMCIF[:-1] + b"?")
    with pytest.raises(StructureError, match="damaged or changed: delete it"):
        fetched("1abc")
