"""Every command with every degenerate data set ends well, or with one message and exit code 2."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest

import baselines.cli
import xrai.cli
import xraisim.cli
from baselines.classify import ClassifyConfig
from baselines.emc import EmcConfig, Level
from baselines.phasing.config import PhasingConfig, StageConfig
from xrai.config import EncoderConfig, RoundsConfig, SearchConfig, StartConfig, TrainConfig
from xraisim.core.admission import LARGEST_COUNT
from xraisim.core.config import dumps
from xraisim.core.types import Photons
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, MaskReason, geometry

PATTERNS = 60
DETECTOR = Detector(rows=24, columns=20, pixel_size_mm=4.0, beamstop_radius_mm=6.0)
EMC = EmcConfig(
    levels=(
        Level(reach=3.5, rotations=100, iterations=2),
        Level(reach=4.5, rotations=200, iterations=2, search="local"),
    ),
    restarts=2,
    block_patterns=16,
)
CLASSIFY = ClassifyConfig(classes=3, reach=4.5, restarts=1, iterations=4, block_patterns=16)
PHASE = PhasingConfig(
    coarse=StageConfig(schedule="4 hio, 2 er", support_every=3, blur_voxels=2.0),
    fine=StageConfig(schedule="4 raar, 2 er", support_every=3, blur_voxels=2.0),
)
TRAIN = TrainConfig(
    block=16,
    start=StartConfig(restarts=1, steps=8, rotations=200, batch=30),
    search=SearchConfig(rotations=300, wide_rotations=300),
    rounds=RoundsConfig(final=1, patience=1, global_searches=0, ratio=1.5),
    encoder=EncoderConfig(
        rings=6, azimuths=8, directions=60, channels=8, heads=2, steps=5, batch=16
    ),
)
CONFIGS = {"emc": EMC, "classify": CLASSIFY, "phase": PHASE, "train": TRAIN}


def _blank(counts: np.ndarray) -> np.ndarray:
    return 0 * counts


def _half_blank(counts: np.ndarray) -> np.ndarray:
    return counts * (np.arange(len(counts)) % 2)[:, None]


def _blank_stretch(counts: np.ndarray) -> np.ndarray:
    """More dark shots at the beginning than a block holds."""
    return counts * (np.arange(len(counts)) >= 40)[:, None]


def _one_photon(counts: np.ndarray) -> np.ndarray:
    """One photon in each pattern, in one of its brightest pixels."""
    return (np.arange(counts.shape[1]) == counts.argmax(1)[:, None]).astype(np.int32)


def _huge(counts: np.ndarray) -> np.ndarray:
    """A thousand times as many photons, and one pixel with as many as may be."""
    found = counts * 1000
    found[0, found[0].argmax()] = LARGEST_COUNT
    return found


KINDS = {
    "blank": _blank,
    "half_blank": _half_blank,
    "blank_stretch": _blank_stretch,
    "one_photon": _one_photon,
    "one_pattern": lambda counts: counts[:1],
    "five_patterns": lambda counts: counts[:5],
    "five_pixels": lambda counts: counts,
    "identical": lambda counts: np.repeat(counts[:1], len(counts), 0),
    "huge": _huge,
}


@pytest.fixture(scope="module")
def counts(lumps) -> np.ndarray:
    """Counts [N, all pixels] of a healthy measurement."""
    with PatternReader(lumps.patterns) as reader:
        whole = np.zeros((PATTERNS, DETECTOR.rows * DETECTOR.columns), np.int32)
        whole[:, reader.pixels.index.numpy()] = reader.read(0, PATTERNS).dense(len(reader.pixels))
    return whole


@pytest.fixture(scope="module")
def data(counts, tmp_path_factory):
    """Return a function that writes a degenerate data set, once, with or without background."""
    directory = tmp_path_factory.mktemp("degenerate")

    def write(kind: str, background: float) -> Path:
        path = directory / f"{kind}-{background}.h5"
        if not path.exists():
            _write(path, KINDS[kind](counts), background, pixels=5 if kind == "five_pixels" else 0)
        return path

    return write


def _write(path: Path, counts: np.ndarray, background: float, pixels: int) -> None:
    detector = geometry(DETECTOR, Beam())
    if pixels:
        kept = detector.good[:: len(detector.good) // pixels][:pixels]
        reasons = np.full(len(detector.reasons), MaskReason.FILE.value, detector.reasons.dtype)
        reasons[kept] = 0
        detector = dataclasses.replace(detector, reasons=reasons)
        counts = np.where(np.isin(np.arange(counts.shape[1]), kept), counts, 0)
    row, pixel = np.nonzero(counts)
    ends = np.cumsum(np.bincount(row, minlength=len(counts)))
    photons = Photons(
        offsets=np.concatenate([[0], ends]).astype(np.int64),
        pixel=pixel.astype(np.int32),
        count=counts[row, pixel].astype(np.int32),
    )
    with PatternWriter(
        path, detector=detector, beam=Beam(), background=background,
        particle_diameter_angstrom=100.0, provenance={},
    ) as writer:  # fmt: skip
        writer.append(photons)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path, record_property):
    """Return a function that runs a command and says whether it ended well.

    Fails unless it did, or told why not in one message. What it said is in a report of
    ``--junitxml`` (with ``-o junit_family=legacy``).
    """
    programs = {"xrai-sim": xraisim.cli, "xrai": xrai.cli, "xrai-baseline": baselines.cli}

    def run(program: str, command: str, *arguments: object) -> bool:
        given = [command, *map(str, arguments)]
        if command in CONFIGS:
            path = tmp_path / f"{command}.toml"
            path.write_text(dumps(CONFIGS[command]))
            given += ["--config", str(path)]
        monkeypatch.setattr(sys, "argv", [program, *given])
        with pytest.raises(SystemExit) as stop:
            programs[program].main()
        err = capsys.readouterr().err
        record_property(command, f"{stop.value.code} {err[err.find('error:') :]}")
        bad_data = 1 if command == "validate" else 0
        assert stop.value.code in (0, bad_data, 2), err
        assert err.count("error:") == (stop.value.code == 2), err
        if stop.value.code == 2 and command in ("train", "emc", "classify"):
            out = _out(given)
            assert not out.exists() or (out / "checkpoint.pt").exists(), "something is left"
        return stop.value.code == 0

    return run


def _out(arguments: list[str]) -> Path:
    return Path(arguments[arguments.index("--out") + 1])


def _strict(path: Path) -> dict:
    """Read JSON that has neither NaN nor infinity."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{path} holds {name}")

    return json.loads(path.read_text(), parse_constant=refuse)


def _looked_at(run, path: Path, out: Path) -> None:
    assert run("xrai-sim", "inspect", path, "--json")
    run("xrai-sim", "validate", path, "--json")
    assert run("xrai-sim", "convert", path, out / "converted.npz")
    assert run("xrai-sim", "convert", path, out / "converted.emc")


def _classified(run, path: Path, out: Path) -> None:
    if run("xrai-baseline", "classify", path, "--out", out / "classes", "--json"):
        _strict(out / "classes" / "result.json")
        run("xrai-baseline", "select", out / "classes", "--keep", "auto", "--out", out / "s.h5")


def _reconstructed(run, path: Path, out: Path) -> None:
    if run("xrai-baseline", "emc", path, "--out", out / "emc", "--json"):
        _strict(out / "emc" / "result.json")
        assert run("xrai-baseline", "report", out / "emc", "--patterns", path)
        run("xrai-baseline", "phase", out / "emc" / "intensity.h5", "--out", out / "phase")


def _trained(run, path: Path, out: Path) -> None:
    if run("xrai", "train", path, "--out", out / "run", "--json"):
        _strict(out / "run" / "result.json")
        run("xrai", "poses", out / "run", "--out", out / "poses.h5")
        assert run("xrai", "report", out / "run", "--patterns", path)


STEPS = {"look": _looked_at, "classify": _classified, "emc": _reconstructed, "train": _trained}
_QUICK = {("look", "blank"), ("look", "five_pixels"), ("classify", "blank_stretch")} | {
    (step, kind) for step in ("classify", "emc") for kind in ("blank", "one_pattern")
}


@pytest.mark.parametrize(("step", "kind"), sorted(_QUICK))
def test_degenerate_data_end_well_or_with_one_message(step, kind, data, run, tmp_path):
    STEPS[step](run, data(kind, 0.0), tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("background", [0.0, 0.05])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", STEPS)
def test_every_command_ends_well_or_with_one_message(step, kind, background, data, run, tmp_path):
    STEPS[step](run, data(kind, background), tmp_path)
