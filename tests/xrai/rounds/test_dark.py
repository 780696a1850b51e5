"""Patterns without photons among the data: they weigh nothing, and have no orientation."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import torch

from xrai.config import RoundsConfig, TrainConfig
from xrai.encoder.training import EncoderTrainer
from xrai.infer import find_poses
from xrai.rounds.photons import require_photons
from xrai.sources.stream import PatternStream
from xrai.state import checkpoint
from xrai.state.autosave import Autosave
from xrai.state.checkpoint import require_finite_state
from xrai.train import reconstruct, resume
from xraisim.core.errors import DivergedError, FormatError, UserError
from xraisim.core.likelihood import photon_nll
from xraisim.core.types import Photons, Volume
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader
from xraisim.files.result import read_result
from xraisim.files.volumes import read_volume

PATTERNS = 320
FEW, STRETCH = np.array([0, 3, 4, 119, 120, 319]), np.arange(128, 256)


def darkened(patterns: Path, out: Path, dark: np.ndarray, *, most: int | None = None) -> Path:
    """Write the first patterns of a file without the photons of ``dark``, ``most`` of each row."""
    with PatternReader(patterns) as reader:
        photons = reader.read_raw(0, PATTERNS)
    lengths = np.diff(photons.offsets)
    kept = np.arange(len(photons.pixel)) - np.repeat(photons.offsets[:-1], lengths)
    keep = ~np.isin(photons.rows(), dark) & (kept < (most or kept.max() + 1))
    out.write_bytes(patterns.read_bytes())
    with h5py.File(out, "r+") as file:
        rows = np.bincount(photons.rows()[keep], minlength=PATTERNS)
        for name, values in (
            (OFFSETS, np.concatenate([[0], np.cumsum(rows)])),
            (PIXEL, photons.pixel[keep]),
            (COUNT, photons.count[keep] if most is None else np.ones(keep.sum())),
        ):
            file[name].resize((len(values),))
            file[name][...] = values
    return out


@pytest.fixture(scope="module")
def short_config(brief_config) -> TrainConfig:
    return dataclasses.replace(
        brief_config,
        block=128,
        rounds=RoundsConfig(ratio=1.4, final=1, patience=1, global_searches=0),
    )


@dataclass(frozen=True)
class Run:
    """A finished run, the file it was made of, and the patterns of that without photons."""

    directory: Path
    patterns: Path
    dark: np.ndarray


@pytest.fixture(scope="module", params=["hybrid", "paper", "single pass"])
def run(request, patterns, short_config, tmp_path_factory) -> Run:
    """A run in every mode; of the one that reads once, a whole round is dark."""
    config, dark = short_config, FEW
    if request.param == "paper":
        config = dataclasses.replace(config, mode="paper")
    if request.param == "single pass":
        rounds = dataclasses.replace(config.rounds, patterns=128, keep=0.0)
        config, dark = dataclasses.replace(config, single_pass=True, rounds=rounds), STRETCH
    directory = tmp_path_factory.mktemp("dark")
    source = darkened(patterns, directory / "patterns.h5", dark)
    reconstruct(source, directory / "run", config, quiet=True)
    return Run(directory / "run", source, dark)


def without_orientation(path: Path) -> np.ndarray:
    with h5py.File(path) as file:
        return np.flatnonzero(~np.isfinite(file["orientations"][()]).all(1))


def test_dark_patterns_weigh_nothing_and_have_no_orientation(run):
    path = run.directory / "poses.h5"
    assert np.array_equal(without_orientation(path), run.dark)
    with h5py.File(path) as file:
        assert not file["weight"][()][run.dark].any()
        assert not file["fluence"][()][run.dark].any()
    result = read_result(run.directory)
    assert result.figures["without_photons"] == len(run.dark)
    assert read_volume(run.directory / "intensity.h5").values.isfinite().all()


def test_poses_are_found_of_files_with_dark_patterns(run, tmp_path):
    if checkpoint.load(run.directory).trainer is None:
        return  # mode paper leaves no encoder
    for encoder_only in (False, True):
        out = tmp_path / "poses.h5"
        found = find_poses(run.directory, run.patterns, out, encoder_only=encoder_only)
        assert found["without_photons"] == len(run.dark)
        assert np.isfinite(found["error_deg_median"])
        assert np.array_equal(without_orientation(out), run.dark)


@pytest.mark.parametrize("mode", ["hybrid", "paper"])
@pytest.mark.parametrize(
    ("dark", "most", "said"),
    [(np.arange(PATTERNS), None, "no photons"), (FEW, 1, "too few photons")],
)
def test_data_without_photons_are_refused(patterns, short_config, tmp_path, mode, dark, most, said):
    source = darkened(patterns, tmp_path / "patterns.h5", dark, most=most)
    with pytest.raises(UserError, match=said):
        reconstruct(
            source, tmp_path / "run", dataclasses.replace(short_config, mode=mode), quiet=True
        )
    assert not (tmp_path / "run").exists()


def test_every_set_needs_photons():
    light = np.array([3, 0, 4, 0])
    photons = Photons(
        offsets=np.concatenate([[0], np.cumsum(light > 0)]),
        pixel=np.zeros(2, np.int32),
        count=light[light > 0].astype(np.int32),
    )
    require_photons([(slice(0, 4), photons)], 1, 1)
    with pytest.raises(UserError, match=r"rounds\.halves = false"):
        require_photons([(slice(0, 4), photons)], 2, 1)


def test_a_dark_pattern_has_no_loss_and_no_gradient():
    counts = torch.tensor([[0.0, 0, 0], [2, 0, 1]])
    rates = torch.rand(2, 3).requires_grad_()
    for background in (torch.zeros(3), torch.ones(3)):
        loss = photon_nll(counts, rates, background)
        (gradient,) = torch.autograd.grad(loss.sum(), rates)
        assert torch.isfinite(loss).all()
        assert torch.equal(gradient[0], torch.zeros(3))
        assert torch.isfinite(gradient).all()


def test_a_run_that_diverges_stops_and_can_go_on(patterns, short_config, tmp_path, monkeypatch):
    monkeypatch.setattr(EncoderTrainer, "_step", lambda *_: float("nan"))
    with pytest.raises(DivergedError, match=r"loss in step 0 is not finite: .* `xrai resume"):
        reconstruct(patterns, tmp_path / "run", short_config, quiet=True)
    state = checkpoint.load(tmp_path / "run")
    require_finite_state(state)
    assert state.volume is not None, "the start is kept"
    with pytest.raises(DivergedError, match=f"stopped after round {state.rounds}"):
        resume(tmp_path / "run", quiet=True)


def test_a_state_that_is_not_finite_is_not_written(tmp_path):
    state = checkpoint.State(patterns="patterns.h5", extent={})
    checkpoint.save(state, tmp_path)
    state.volumes = [Volume(values=torch.full((3, 3, 3), torch.nan), spacing=1.0, kind="intensity")]
    with pytest.raises(DivergedError, match="volume after round 0 is not finite"):
        Autosave(tmp_path, 60.0).save(state)
    assert not checkpoint.load(tmp_path).volumes


@pytest.mark.parametrize(("name", "value"), [("pixel", -1), ("pixel", 10**6), ("count", -1)])
def test_what_a_source_from_python_gives_is_checked(patterns, name, value):
    with PatternReader(patterns) as reader:

        def read(start: int, stop: int) -> Photons:
            photons = reader.read(start, stop)
            getattr(photons, name)[7] = value
            return photons

        source = SimpleNamespace(
            path=Path("made"), pixels=reader.pixels, info=reader.info,
            n_patterns=reader.n_patterns, read=read, close=lambda: None,
        )  # fmt: skip
        with (
            PatternStream(source, 100, 1.0) as stream,
            pytest.raises(FormatError, match=f"made: {name} {value}"),
        ):
            next(stream.blocks())
        dark = dataclasses.replace(reader.pixels, gain=-reader.pixels.gain)
        with pytest.raises(FormatError, match="gain is -"):
            PatternStream(SimpleNamespace(**vars(source) | {"pixels": dark}), 100, 1.0)
