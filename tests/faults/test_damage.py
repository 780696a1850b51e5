"""Truncated files and flipped bits: nothing is read wrongly, and what is whole can be rescued."""

from pathlib import Path

import h5py
import numpy as np
import pytest

from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files import photon_tables
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.files.rescue import NUMBERS, rescue, survey
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

from .conftest import KILLS

PATTERNS, RANDOM_PLACES = 2000, 60 * KILLS
GEOMETRY = geometry(Detector(rows=6, columns=8, pixel_size_mm=9, beamstop_radius_mm=8), Beam())


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A file of many small chunks."""
    random = np.random.default_rng(1)
    lengths = random.integers(0, 10, PATTERNS)
    photons = Photons(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pixel=random.choice(GEOMETRY.good, lengths.sum()).astype(np.int32),
        count=random.integers(1, 4, lengths.sum()).astype(np.int32),
    )
    path = tmp_path_factory.mktemp("stored") / "stored.h5"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(photon_tables, "_ENTRY_CHUNK", 512)
        patch.setattr(photon_tables, "_OFFSET_CHUNK", 128)
        with PatternWriter(
            path, detector=GEOMETRY, beam=Beam(), background=0.25, particle_diameter_angstrom=100.0,
            provenance={"structure": "test", "config": "", "versions": {"x-rai": "0"}},
        ) as writer:  # fmt: skip
            writer.append(photons)
    return path


def chunks(path: Path) -> dict[tuple[str, int], tuple[int, int]]:
    """Return where every chunk of the photons begins and ends, in bytes."""
    found = {}
    with h5py.File(path) as file:
        for name in (OFFSETS, PIXEL, COUNT):
            for number in range(file[name].id.get_num_chunks()):
                info = file[name].id.get_chunk_info(number)
                place = info.byte_offset, info.byte_offset + info.size
                found[name, info.chunk_offset[0] // file[name].chunks[0]] = place
    return found


def content(path: Path) -> tuple[list[np.ndarray], dict]:
    """Return everything that a reconstruction reads from a file."""
    with PatternReader(path) as reader:
        raw = reader.read_raw(0, reader.n_patterns)
        pixels = [
            getattr(reader.pixels, name).numpy() for name in ("s", "gain", "background", "index")
        ]
        return [raw.offsets, raw.pixel, raw.count, *pixels], reader.info


def same(one: tuple[list[np.ndarray], dict], other: tuple[list[np.ndarray], dict]) -> bool:
    return one[1] == other[1] and all(map(np.array_equal, one[0], other[0]))


def read_rightly_or_refused(path: Path, whole: tuple) -> bool:
    """Assert that a file gives what it should or is refused; return whether it can be read."""
    try:
        found = content(path)
    except FormatError:
        return False
    assert same(found, whole), "read wrongly without a word"
    return True


def rescued_rightly_or_refused(path: Path, whole: tuple) -> int:
    """Assert that what is rescued is as it was; return how many patterns that are."""
    out = path.with_name("rescued.h5")
    try:
        found = rescue(path, out)
    except FormatError:
        return 0
    with h5py.File(out) as file:
        numbers = file[NUMBERS][()]
    assert np.array_equal(numbers, np.flatnonzero(found.whole))
    offsets, pixel, count, *pixels = whole[0]
    (rescued_offsets, rescued_pixel, rescued_count, *rescued_pixels), info = content(out)
    rows = [slice(offsets[n], offsets[n + 1]) for n in numbers]
    assert np.array_equal(np.diff(rescued_offsets), [row.stop - row.start for row in rows])
    assert np.array_equal(rescued_pixel, np.concatenate([pixel[row] for row in rows]))
    assert np.array_equal(rescued_count, np.concatenate([count[row] for row in rows]))
    assert all(map(np.array_equal, rescued_pixels, pixels))
    assert info["provenance"].pop("rescued_from") == path.name
    assert info == whole[1]
    return len(numbers)


def test_truncation(stored, tmp_path):
    """At both ends of every chunk, one byte before and after, and anywhere."""
    random, whole, content_ = np.random.default_rng(2), content(stored), stored.read_bytes()
    ends = {end + step for place in chunks(stored).values() for end in place for step in (-1, 0, 1)}
    places = sorted({*ends, *random.integers(0, len(content_), RANDOM_PLACES).tolist()})
    cut, rescued = tmp_path / "cut.h5", []
    for place in places:
        cut.write_bytes(content_[:place])
        if place < len(content_):
            assert not read_rightly_or_refused(cut, whole), place
        rescued.append(rescued_rightly_or_refused(cut, whole))
    print(f"{len(places)} places; rescued from some {np.count_nonzero(rescued)} times")
    assert max(rescued) > 0.9 * PATTERNS


def test_bit_flips(stored, tmp_path):
    """One in every chunk, which is then named, and anywhere else."""
    random, whole, before = np.random.default_rng(3), content(stored), stored.read_bytes()
    flipped, refused = tmp_path / "flipped.h5", 0

    def flip(place: int) -> None:
        damaged = bytearray(before)
        damaged[place] ^= 1 << int(random.integers(8))
        flipped.write_bytes(damaged)

    for (name, number), (begin, end) in chunks(stored).items():
        flip(int(random.integers(begin, end)))
        assert not read_rightly_or_refused(flipped, whole), (name, number)
        (found,) = survey(flipped).damages
        assert (found.dataset, found.chunk, found.byte) == (name, number, begin)
        assert rescued_rightly_or_refused(flipped, whole) > PATTERNS // 2
    for place in random.integers(0, len(before), RANDOM_PLACES).tolist():
        flip(place)
        refused += not read_rightly_or_refused(flipped, whole)
        rescued_rightly_or_refused(flipped, whole)
    print(f"{RANDOM_PLACES} flips anywhere: {refused} refused, the others in bytes of no meaning")


def test_nothing_can_be_rescued_from_nothing(tmp_path):
    path = tmp_path / "empty.h5"
    path.write_bytes(b"")
    with pytest.raises(FormatError, match="make the file again"):
        survey(path)
