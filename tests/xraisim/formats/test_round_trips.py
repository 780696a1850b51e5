from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from xraisim.checks.validate import validate
from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.files.texts import attribute
from xraisim.formats import convert as conversion
from xraisim.formats import recognise
from xraisim.formats.convert import convert
from xraisim.formats.experiment import ExperimentConfig
from xraisim.formats.known import pixel_pitch_mm
from xraisim.instrument.detector import geometry
from xraisim.instrument.presets import preset

from .conftest import BEAM, PATTERNS, as_photons, frames_in

NAMES = {
    "emc": "out.emc",
    "emc-int": "out-int.emc",
    "emc-double": "out-double.emc",
    "dragonfly-h5": "out.h5",
    "cxi": "out.cxi",
    "skopi": "out.h5",
    "h5": "out.h5",
    "npy": "out.npy",
    "npz": "out.npz",
}
GEOMETRY = ("position", "s", "solid_angle", "polarisation", "gain", "mask", "background")
#: what a format does not hold of the geometry, and so is told again
TOLD = {
    "cxi": {},
    "skopi": {"distance_mm": 120.0, "pixel_size_mm": 9.0},
}
FLAT = {
    "distance_mm": 120.0,
    "pixel_size_mm": 9.0,
    "beamstop_radius_mm": 8.0,
    "rows": 6,
    "columns": 8,
}


def config(name: str) -> ExperimentConfig:
    return ExperimentConfig(
        particle_diameter_angstrom=80.0,
        beam={"photon_energy_ev": BEAM.photon_energy_ev, "polarisation": "y"},
        detector=TOLD.get(name, FLAT),
    )


@pytest.fixture(params=NAMES)
def there(request, patterns, tmp_path) -> tuple[str, Path]:
    out = tmp_path / "there" / NAMES[request.param]
    done = convert(patterns, out, target=request.param)
    assert (done.patterns, done.masked_photons) == (PATTERNS, 0)
    return request.param, out


def test_photons_are_the_same_after_a_round_trip(there, patterns, frames, tmp_path):
    name, out = there
    assert recognise(out) == ("emc" if name.startswith("emc") else name)
    assert (frames_in(out) == frames).all()
    back = tmp_path / "back.h5"
    done = convert(out, back, config=config(name))
    assert done.photons == frames.sum()
    with PatternReader(patterns) as first, PatternReader(back) as second:
        for field in ("offsets", "pixel", "count"):
            one, other = (getattr(r.read_raw(0, PATTERNS), field) for r in (first, second))
            assert (one == other).all(), field
    assert not [finding for finding in validate(back) if finding.problems]


def test_geometry_is_the_same_where_the_format_carries_it(there, patterns, tmp_path):
    name, out = there
    if name in ("emc", "emc-int", "emc-double", "dragonfly-h5"):
        detector, told = out.with_name(f"{out.stem}.detector.h5"), {"pixel_size_mm": 9.0}
        carried = set(GEOMETRY)
    else:
        detector, told = None, TOLD.get(name, FLAT)
        carried = set(GEOMETRY) - {"background"}
    settings = ExperimentConfig(
        particle_diameter_angstrom=80.0,
        beam={
            "photon_energy_ev": BEAM.photon_energy_ev,
            **({} if detector else {"polarisation": "y"}),
        },
        detector=told,
    )
    back = tmp_path / "back.h5"
    convert(out, back, config=settings, detector=detector)
    with h5py.File(patterns) as first, h5py.File(back) as second:
        for field in carried:
            one, other = (f[f"detector/{field}"][()].astype(float) for f in (first, second))
            if field == "mask":  # the reasons are our own; other formats know yes and no
                one, other = one != 0, other != 0
            np.testing.assert_allclose(other, one, rtol=3e-6, atol=3e-6 * np.abs(one).max())
        assert (first["detector"].attrs["shape"] == second["detector"].attrs["shape"]).all()
        assert attribute(second["beam"], "polarisation") == "y"


def test_cxi_and_skopi_carry_the_photon_energy(patterns, tmp_path):
    for name in ("cxi", "skopi"):
        out, back = tmp_path / f"{name}.x", tmp_path / f"{name}.h5"
        convert(patterns, out, target=name)
        told = ExperimentConfig(particle_diameter_angstrom=80.0, detector=TOLD[name])
        convert(out, back, config=told)
        with PatternReader(back) as reader:
            assert reader.info["photon_energy_ev"] == pytest.approx(3000.0, rel=1e-6)


def test_blocks_of_any_size_give_the_same_file(there, frames, monkeypatch, tmp_path):
    _, out = there
    longest = 0

    def watch(patterns: int) -> None:
        nonlocal longest
        longest = max(longest, patterns)

    monkeypatch.setattr(conversion, "_LARGEST_BLOCK", 3)
    for number, target in enumerate(NAMES):
        again = tmp_path / f"again{number}"
        if target == "skopi":
            continue  # needs the geometry
        convert(out, again, target=target, progress=watch)
        assert (frames_in(again) == frames).all()
    assert longest == 3  # blocks larger than asked for would not bound the memory


def test_a_file_is_whole_or_absent(patterns, tmp_path, monkeypatch):
    monkeypatch.setattr(conversion, "_LARGEST_BLOCK", 3)

    def stop(_: int) -> None:
        raise RuntimeError("interrupted")

    for name, file in NAMES.items():
        out = tmp_path / "there" / file
        with pytest.raises(RuntimeError, match="interrupted"):
            convert(patterns, out, target=name, progress=stop)
        assert not list(out.parent.iterdir()), name


def test_photons_on_masked_pixels_are_left_out_and_counted(patterns, frames, tmp_path):
    stack = tmp_path / "stack.npy"
    frames = frames.copy()
    frames[:, 0] = 2
    np.save(stack, frames.reshape(-1, 6, 8))
    mask = np.zeros((6, 8), np.uint8)
    mask[0, 0] = 1
    np.save(tmp_path / "mask.npy", mask)
    told = ExperimentConfig(
        particle_diameter_angstrom=80.0,
        beam={"photon_energy_ev": 3000.0},
        detector={**FLAT, "mask_file": str(tmp_path / "mask.npy")},
    )
    done = convert(stack, tmp_path / "out.h5", config=told)
    assert (done.masked_photons, done.photons) == (2 * PATTERNS, frames[:, 1:].sum())
    assert not [finding for finding in validate(tmp_path / "out.h5") if finding.problems]


def test_an_empty_set_converts(patterns, detector, tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((0, 6, 8), np.int32))
    for name, file in NAMES.items():
        if name == "skopi":
            continue
        out = tmp_path / "there" / f"{name}-{file}"
        assert convert(tmp_path / "none.npy", out, target=name).patterns == 0
        assert frames_in(out, "emc" if name.startswith("emc") else name).shape[0] == 0


def test_requests_that_make_no_sense_are_refused(patterns, tmp_path):
    with pytest.raises(FormatError, match="same file"):
        convert(patterns, patterns, target="emc")
    with pytest.raises(FormatError, match="a pattern file already"):
        convert(patterns, tmp_path / "x.h5", target="xrai")
    with pytest.raises(FormatError, match="choose with --to"):
        convert(patterns, tmp_path / "x.h5")
    with pytest.raises(ConfigError, match="holds its own beam, detector and background"):
        convert(patterns, tmp_path / "x.emc", config=ExperimentConfig(instrument="xrai2025"))
    with pytest.raises(FormatError, match="did you mean skopi"):
        convert(patterns, tmp_path / "x.h5", target="skopy")


@pytest.mark.parametrize("name", ["emc", "cxi"])
def test_panels_with_gaps_keep_their_places(name, tmp_path):
    instrument = preset("lcls-pnccd")
    detector = geometry(replace(instrument.detector, binning=8), instrument.beam)
    with PatternWriter(
        tmp_path / "patterns.h5",
        detector=detector,
        beam=instrument.beam,
        background=0.0,
        particle_diameter_angstrom=80.0,
        provenance={"versions": {}},
    ) as writer:
        counts = np.random.default_rng(3).poisson(0.1, (4, len(detector.mask)))
        writer.append(as_photons(counts * ~detector.mask))
    done = convert(tmp_path / "patterns.h5", tmp_path / "there", target=name)
    told = ExperimentConfig(
        particle_diameter_angstrom=80.0,
        beam={"photon_energy_ev": instrument.beam.photon_energy_ev},
        detector={} if name == "cxi" else {"pixel_size_mm": pixel_pitch_mm(detector)},
    )
    beside = done.detector_path or None
    convert(tmp_path / "there", tmp_path / "back.h5", target="xrai", config=told, detector=beside)
    with h5py.File(tmp_path / "back.h5") as file:
        np.testing.assert_allclose(file["detector/s"], detector.s, atol=1e-8)
        np.testing.assert_allclose(file["detector/position"], detector.position_mm, atol=1e-4)
        np.testing.assert_allclose(file["detector/solid_angle"], detector.solid_angle_sr, rtol=1e-5)
    assert (frames_in(tmp_path / "back.h5") == counts * ~detector.mask).all()
