"""Structures from the wwPDB sites: fetched once, checked, and kept with their checksum."""

import gzip
import hashlib
import http.client
import os
import sys
import time
import urllib.error
import urllib.request
import zlib
from pathlib import Path

from xraisim.core.errors import StructureError

SITES = (
    "https://files.rcsb.org/download/{id}.cif.gz",
    "https://files.wwpdb.org/pub/pdb/data/structures/divided/mmCIF/{middle}/{id}.cif.gz",
    "https://ftp.ebi.ac.uk/pub/databases/pdb/data/structures/divided/mmCIF/{middle}/{id}.cif.gz",
)
SITES_VARIABLE = "XRAI_STRUCTURE_SITES"
CACHE_VARIABLE = "XRAI_CACHE"
_ATTEMPTS = 3
_BACKOFF_S = 1.0
_TIMEOUT_S = 30.0


class _AbsentError(Exception):
    """A site answered that it does not have the file."""


def cache_directory() -> Path:
    """Return the directory for fetched structures: ``XRAI_CACHE``, or the platform's cache."""
    if os.environ.get(CACHE_VARIABLE):
        return Path(os.environ[CACHE_VARIABLE]) / "structures"
    if sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    elif sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "x-rai" / "structures"


def cached_or_fetched(identifier: str, backoff_s: float = _BACKOFF_S) -> Path:
    """Return the cached mmCIF file of ``identifier``, fetching it first if it is not there.

    Raises :class:`StructureError` if the cached file fails its checksum, if no site knows the
    identifier, or if no site can be reached.
    """
    path = cache_directory() / f"{identifier}.cif.gz"
    if path.is_file():
        _verify(path)
        return path
    data = _from_any_site(identifier, backoff_s)
    _store(path, data)
    return path


def _sites() -> tuple[str, ...]:
    override = os.environ.get(SITES_VARIABLE)
    return tuple(override.split()) if override else SITES


def _from_any_site(identifier: str, backoff_s: float) -> bytes:
    """Try every site in turn, and all of them again after a pause if the network failed."""
    sites, absent, failures = list(_sites()), 0, {}
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(backoff_s * 2 ** (attempt - 1))
        for site in list(sites):
            url = site.format(id=identifier, middle=identifier[1:3])
            try:
                return _download(url)
            except _AbsentError:
                sites.remove(site)
                absent += 1
            except (OSError, StructureError) as error:
                failures[url] = str(getattr(error, "reason", error))
        if not sites:
            break
    if absent and not failures:
        raise StructureError(
            f"no structure {identifier!r} in the PDB archive ({absent} sites asked); check the "
            "identifier, or give the path of a file"
        )
    listed = "; ".join(f"{url}: {reason}" for url, reason in failures.items())
    raise StructureError(
        f"structure {identifier!r} is not on this machine and could not be fetched ({listed}). "
        "Check the network, or put the file in a directory and name it with --structures"
    )


def _download(url: str) -> bytes:
    request = urllib.request.Request(url, headers={"User-Agent": "x-rai"})
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            data = answer.read()
    except urllib.error.HTTPError as error:
        with error:
            if error.code in (403, 404, 410):
                raise _AbsentError from error
            raise
    except http.client.HTTPException as error:  # fewer bytes than announced, among others
        raise StructureError(f"the transfer broke off ({error})") from error
    try:
        text = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise StructureError(f"what arrived is not a whole gzip file ({error})") from error
    if b"_atom_site." not in text:
        raise StructureError("what arrived is not an mmCIF file with atoms")
    return data


def _store(path: Path, data: bytes) -> None:
    """Write file and checksum under temporary names, then rename: never half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(data).hexdigest()
    for target, content in (
        (_checksum_path(path), f"{digest}  {path.name}\n".encode()),
        (path, data),
    ):
        partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            partial.write_bytes(content)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _checksum_path(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _verify(path: Path) -> None:
    try:
        expected = _checksum_path(path).read_text().split()[0]
    except (OSError, IndexError):
        expected = "no recorded checksum"
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != expected:
        raise StructureError(
            f"the cached file {path} has SHA-256 {found}, recorded is {expected}; it was damaged "
            "or changed: delete it and it will be fetched again"
        )
