"""Every check passes a good file and fails one that is broken in exactly its way."""

import dataclasses
import itertools
import json
import shutil

import h5py
import numpy as np
import pytest

from xraisim.checks import CHECKS
from xraisim.checks.validate import Finding, failed, listing, validate
from xraisim.core.errors import FormatError
from xraisim.core.types import Photons
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternWriter
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry

PATTERNS = 120


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A file of 120 patterns of about 2,000 photons, 32² pixels, a beamstop in the middle."""
    path = tmp_path_factory.mktemp("validate") / "good.h5"
    rng = np.random.default_rng(3)
    detector = Detector(rows=32, columns=32, pixel_size_mm=3.0, beamstop_radius_mm=5.0)
    beam = Beam(photons_per_pulse=1e17)
    made = geometry(detector, beam)
    radius = np.linalg.norm(made.s, axis=1)
    mean = np.where(
        made.mask, 0.0, made.gain / made.gain.max() * 25 * np.exp(-((radius / 0.06) ** 2))
    )
    speckle = rng.exponential(size=(PATTERNS, len(mean)))
    counts = rng.poisson(mean * speckle * rng.gamma(10, 0.1, (PATTERNS, 1)))
    row, pixel = np.nonzero(counts)
    photons = Photons(
        offsets=np.concatenate([[0], np.cumsum(np.bincount(row, minlength=PATTERNS))]),
        pixel=pixel.astype(np.int32),
        count=counts[row, pixel].astype(np.int32),
    )
    with PatternWriter(
        path,
        detector=made,
        beam=beam,
        background=0.1,
        particle_diameter_angstrom=80.0,
        provenance={"patterns": PATTERNS, "versions": {}},
    ) as writer:
        writer.append(photons)
    return path


@pytest.fixture
def broken(good, tmp_path):
    """Return a function that copies the good file, breaks the copy, and returns its findings."""

    def run(breaker) -> dict[str, Finding]:
        path = tmp_path / "broken.h5"
        shutil.copy(good, path)
        with h5py.File(path, "r+") as file:
            breaker(file)
        return {finding.name: finding for finding in validate(path)}

    return run


def test_a_good_file_passes(good):
    findings = validate(good)
    assert [f for f in findings if f.problems or not f.ran] == []
    assert not failed(findings)
    assert [f.name for f in findings] == [check.name for check in listing()]


def test_names_are_unique_and_every_check_has_a_title():
    names = [check.name for check in listing()]
    assert len(set(names)) == len(names)
    assert all(len(check.title) > 10 for check in listing())
    assert len(CHECKS) == len(names) - 2  # the two that are made while reading


def _replace(file, name, values):
    """Put ``values`` in the place of a dataset, whatever their length."""
    attributes = dict(file[name].attrs)
    del file[name]
    file.create_dataset(name, data=values).attrs.update(attributes)


def _entries(file, change):
    """Apply ``change`` to the patterns as lists of (pixel, count), and write them back."""
    offsets, pixel, count = (file[name][()] for name in (OFFSETS, PIXEL, COUNT))
    rows = [
        list(zip(pixel[a:b].tolist(), count[a:b].tolist(), strict=True))
        for a, b in itertools.pairwise(offsets)
    ]
    rows = change(rows)
    flat = np.array([entry for row in rows for entry in row], int).reshape(-1, 2)
    _replace(file, OFFSETS, np.concatenate([[0], np.cumsum([len(row) for row in rows])]))
    _replace(file, PIXEL, flat[:, 0].astype(pixel.dtype))
    _replace(file, COUNT, flat[:, 1].astype(count.dtype))


def _scale(name, factor, where=slice(None)):
    def breaker(file):
        values = file[name][()]
        values[where] *= factor
        file[name][...] = values

    return breaker


def _set(name, value, where=...):
    def breaker(file):
        values = file[name][()]
        values[where] = value
        file[name][...] = values

    return breaker


def _attribute(name, key, value):
    return lambda file: file[name].attrs.__setitem__(key, value)


def _background_missing(file):
    del file["detector/background"]


def _short_gain(file):
    _replace(file, "detector/gain", file["detector/gain"][:-1])


def _stepping_back(file):
    offsets = file[OFFSETS][()]
    offsets[3], offsets[4] = offsets[4], offsets[3] - 1
    file[OFFSETS][...] = offsets


def _zero_count(file):
    _set(COUNT, 0, 5)(file)


def _unsorted(file):
    def change(rows):
        rows[7][2], rows[7][3] = rows[7][3], rows[7][2]
        return rows

    _entries(file, change)


def _repeated(file):
    def change(rows):
        rows[9].insert(1, rows[9][0])
        return rows

    _entries(file, change)


def _photon_under_mask(file):
    file["detector/mask"][int(file[PIXEL][0])] = 1


def _off_the_detector(file):
    _set(PIXEL, 5000, 20)(file)


def _twice_the_same(file):
    _entries(file, lambda rows: [*rows[:50], rows[4], *rows[51:]])


def _mostly_empty(file):
    _entries(file, lambda rows: [row if i % 3 == 0 else [] for i, row in enumerate(rows)])


def _averaged(file):
    """Patterns of nearly equal numbers of photons, as no Poisson process makes them."""

    def change(rows):
        return [[(pixel + i % 2, 8) for pixel in range(200, 300)] for i, _ in enumerate(rows)]

    _entries(file, change)


def _hot_pixel(file):
    def change(rows):
        return [sorted((dict(row) | {40: 200}).items()) for row in rows]

    _entries(file, change)


def _dead_pixel(file):
    bright = int(np.argmax(np.bincount(file[PIXEL][()], file[COUNT][()])))
    _entries(file, lambda rows: [[e for e in row if e[0] != bright] for row in rows])


@pytest.mark.parametrize(
    ("name", "breaker", "problem"),
    [
        ("version", _attribute("/", "version", 99), "version 99; expected 'x-rai patterns'"),
        ("complete", _background_missing, "detector/background is missing"),
        ("sizes", _short_gain, "detector/gain has 1023 pixels, the detector has 1024"),
        ("offsets", _stepping_back, "below the one before"),
        ("units", _attribute("detector/s", "units", "1/nm"), "detector/s has units '1/nm'"),
        (
            "patterns_made",
            lambda file: _entries(file, lambda rows: rows[:100]),
            "100 patterns, and the provenance says 120",
        ),
        (
            "no_truth",
            lambda file: file.create_dataset("extra/orientations", data=np.eye(4)),
            "extra/orientations looks like truth",
        ),
        (
            "no_seed",
            lambda file: file["provenance"].attrs.create("seed", 3),
            "holds the seed of the simulation",
        ),
        ("beam", lambda file: file["beam/fluence"].write_direct(np.array(np.nan)), "is nan"),
        ("beam", lambda f: f["beam/wavelength"].write_direct(np.array(1.0)), "does not belong"),
        ("pixels_left", _set("detector/mask", 1), "every pixel is masked"),
        ("finite", _set("detector/gain", np.nan, 3), "detector/gain is negative or not a number"),
        ("finite", _set("detector/background", -0.1, 3), "detector/background is negative"),
        ("finite", _set("detector/position", np.inf, 3), "detector/position is not a number"),
        ("ewald", _scale("detector/s", 1.001), "s differs from (k_out − z)/λ"),
        ("gain", _scale("detector/gain", 1.01), "gain is not J₀"),
        ("polarisation", _scale("detector/polarisation", 1.5), "largest polarisation factor"),
        ("solid_angle", _scale("detector/solid_angle", 1e6), "sr, more than 4π"),
        ("solid_angle", _scale("detector/solid_angle", 0.01), "times its pitch squared"),
        ("range", _off_the_detector, "have pixel 5000, the detector has 1024"),
        ("counts", _zero_count, "1 entries of 0 photons, first in pattern 0"),
        ("order", _unsorted, "1 pixels below the one before, first in pattern 7"),
        ("order", _repeated, "1 pixels repeated after fewer than 255 photons, first in pattern 9"),
        ("masked", _photon_under_mask, "entries on masked pixels, first in pattern 0"),
        ("duplicates", _twice_the_same, "1 patterns repeat an earlier one, such as 50 that of 4"),
        ("empty", _mostly_empty, "80 of 120 patterns hold no photon"),
        ("dispersion", _averaged, "times their mean"),
        ("odd_pixels", _hot_pixel, "1 pixels look hot (flat index 40)"),
        ("odd_pixels", _dead_pixel, "1 pixels look dead"),
    ],
)
def test_a_broken_file_is_found_out(broken, name, breaker, problem):
    findings = broken(breaker)
    assert any(problem in text for text in findings[name].problems), findings[name].problems
    severity = {check.name: check.severity for check in listing()}[name]
    assert findings[name].severity == severity
    assert findings[name].failed == (severity == "error")
    assert failed(list(findings.values())) or severity == "warning"


@pytest.mark.parametrize(
    ("name", "breaker"),
    [("duplicates", _twice_the_same), ("empty", _mostly_empty), ("odd_pixels", _hot_pixel)],
)
def test_a_warning_alone_is_no_failure(broken, name, breaker):
    findings = broken(breaker)
    assert findings[name].problems
    assert not failed(list(findings.values()))


def test_after_a_closed_gate_the_rest_does_not_run(broken):
    findings = broken(_background_missing)
    assert findings["version"].ran
    assert findings["complete"].ran
    later = [name for name in findings if name not in ("version", "complete")]
    assert not any(findings[name].ran for name in later)
    assert not any(findings[name].problems for name in later)


def test_a_large_count_may_repeat_its_pixel(broken):
    def change(rows):
        rows[9] = [(40, 255), (40, 255), (40, 3), (50, 255)]
        return rows

    assert not broken(lambda file: _entries(file, change))["order"].problems


def test_a_damaged_chunk_is_found(good, tmp_path):
    path = tmp_path / "damaged.h5"
    shutil.copy(good, path)
    with h5py.File(path) as file:
        chunk = file[PIXEL].id.get_chunk_info(0)
    with path.open("r+b") as raw:
        raw.seek(chunk.byte_offset)
        raw.write(b"\xff" * min(chunk.size, 64))
    findings = {finding.name: finding for finding in validate(path)}
    assert "cannot be read" in findings["chunks"].problems[0]
    assert failed(list(findings.values()))


def test_what_is_not_hdf5_is_refused(tmp_path):
    path = tmp_path / "text.h5"
    path.write_text("nothing")
    with pytest.raises(FormatError, match="not a readable HDF5 file"):
        validate(path)
    with pytest.raises(FormatError, match="no such pattern file"):
        validate(tmp_path / "absent.h5")


def test_findings_are_json_and_progress_adds_up(good):
    seen = []
    findings = validate(good, seen.append)
    assert sum(seen) == PATTERNS
    json.dumps([dataclasses.asdict(finding) for finding in findings])
