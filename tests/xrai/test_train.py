"""Whole small reconstructions: they find the orientations, resume exactly, and refuse bad input."""

import dataclasses
import itertools
import json
import shutil
import tomllib

import h5py
import numpy as np
import pytest
import torch

import xraisim
from xrai.infer import find_poses
from xrai.poses.likelihood import PoseLikelihood
from xrai.poses.refine import NewtonSteps, refine
from xrai.sources.stream import PatternStream
from xrai.state import checkpoint
from xrai.state.state import State
from xrai.train import reconstruct, resume
from xraisim.core import rotations, so3
from xraisim.core.errors import DeviceError, FormatError, UserError
from xraisim.core.random import generator
from xraisim.core.symmetry import angle_modulo_mate
from xraisim.core.types import Volume
from xraisim.files.result import read_result
from xraisim.files.texts import attribute
from xraisim.files.truth import read_truth, truth_path
from xraisim.files.volumes import read_volume


@pytest.fixture
def run(quick_run):
    return quick_run


def found_orientations(path) -> torch.Tensor:
    with h5py.File(path) as file:
        return torch.from_numpy(file["orientations"][()])


def share_within(found: torch.Tensor, true: torch.Tensor, degrees: float) -> float:
    """Return the share of poses within ``degrees`` of truth·A, for the A that fits most of them.

    One global rotation A is free; in-plane mates count as the same pose.
    """
    global_turn = rotations.multiply(rotations.conjugate(true), found)
    shares = []
    for candidate in global_turn[:40]:
        aligned = rotations.multiply(true, candidate.expand_as(true))
        shares.append(float((angle_modulo_mate(found, aligned) < degrees).float().mean()))
    return max(shares)


def true_orientations(patterns) -> torch.Tensor:
    return torch.from_numpy(read_truth(truth_path(patterns)).orientations)


def test_orientations_are_found(run, patterns):
    directory, _ = run
    found, true = found_orientations(directory / "poses.h5"), true_orientations(patterns)
    # Random orientations would put about 0.2 % of the patterns within 10°.
    assert share_within(found, true, 10.0) > 0.7


def events_of(directory) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_run_directory_is_complete(run, patterns):
    directory, result = run
    names = {path.name for path in directory.iterdir()}
    assert names == {
        "config.toml", "checkpoint.pt", "metrics.jsonl", "poses.h5", "intensity.h5",
        "intensity.mrc", "half_1.h5", "half_2.h5", "result.json",
    }  # fmt: skip
    assert read_result(directory) == result
    assert result.resolution.reached_edge
    events = events_of(directory)
    assert events[0]["event"] == "start"
    kinds = [event["kind"] for event in events if event["event"] == "round"]
    assert kinds[0] == "online"
    assert kinds[-2:] == ["final", "final"]
    assert set(kinds[1:-2]) <= {"refine", "global_search"}
    assert kinds.count("refine") >= 1
    assert "encoder" in [event["event"] for event in events]
    volume = read_volume(directory / "intensity.h5")
    assert torch.allclose(volume.values, read_volume(directory / "intensity.mrc").values)
    with h5py.File(directory / "poses.h5") as file:
        mean = np.average(file["fluence"], weights=file["weight"])
        assert mean == pytest.approx(1, abs=1e-5)
        assert {len(column) for column in file.values()} == {900}


def test_the_limit_marches_to_the_edge_while_the_halves_agree(run, patterns):
    rounds = [event for event in events_of(run[0]) if event["event"] == "round"]
    limits = [1 / one["d_min_angstrom"] for one in rounds]
    with PatternStream(patterns, 500, 1.0) as stream:
        assert limits[-1] == pytest.approx(float(stream.pixels.radius[-1]))
    assert all(b <= 1.0851 * a for a, b in itertools.pairwise(limits))
    compared = [one for one in rounds if "icc_half" in one]
    assert len(compared) == len(rounds) - 2
    assert min(compared[-1]["icc_half"]) > 0.143
    assert compared[-1]["disconcurrence_deg"] < 5


def test_fluence_follows_the_truth(run, patterns):
    directory, _ = run
    with h5py.File(directory / "poses.h5") as file:
        found = file["fluence"][()]
    true = read_truth(truth_path(patterns)).fluence
    assert np.corrcoef(found, true)[0, 1] > 0.9


@pytest.mark.parametrize("after_blocks", [1, 4, 6])
def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_result(
    brief_config, brief_run, stop_after, assert_same, after_blocks
):
    """SIGTERM after some blocks: within the first round, within the second, at its last block."""
    stopped = stop_after(brief_config, after_blocks)
    assert checkpoint.load(stopped).position == min(400 * ((after_blocks - 1) % 3 + 1), 900)
    resume(stopped, quiet=True)
    assert_same(stopped, brief_run)
    path, whole = (
        [(event["kind"], event["rivals"]) for event in events_of(each) if event["event"] == "round"]
        for each in (stopped, brief_run)
    )
    assert path == whole


def test_an_interrupted_start_begins_again(
    patterns, brief_config, brief_run, tmp_path, monkeypatch
):
    def fail(finder, monitor):
        raise KeyboardInterrupt

    monkeypatch.setattr("xrai.train.robust_start", fail)
    with pytest.raises(KeyboardInterrupt):
        reconstruct(patterns, tmp_path / "run", brief_config, quiet=True)
    monkeypatch.undo()
    resume(tmp_path / "run", quiet=True)
    whole = found_orientations(brief_run / "poses.h5")
    assert torch.equal(found_orientations(tmp_path / "run/poses.h5"), whole)


def test_single_pass_reads_every_pattern_once_and_the_first_again(patterns, quick_config, tmp_path):
    rounds = dataclasses.replace(quick_config.rounds, patterns=300)
    config = dataclasses.replace(quick_config, single_pass=True, rounds=rounds)
    reconstruct(patterns, tmp_path / "run", config, quiet=True)
    *rounds, last = [event for event in events_of(tmp_path / "run") if event["event"] == "round"]
    assert [(one["kind"], one["patterns_seen"]) for one in rounds] == [
        ("online", 300), ("online", 600), ("online", 900),
    ]  # fmt: skip
    assert last["kind"] == "relocate", "the volume of so few patterns gets sharper to the end"
    assert 300 <= last["patterns"] <= 600
    assert all(0 <= one["rivals"] < 0.2 for one in rounds), "poses are probed all the same"
    found, true = found_orientations(tmp_path / "run/poses.h5"), true_orientations(patterns)
    assert share_within(found, true, 10.0) > 0.5


def test_a_single_pass_that_is_stopped_while_it_locates_again_goes_on_to_the_same_result(
    patterns, quick_config, stop_after, assert_same, tmp_path
):
    rounds = dataclasses.replace(quick_config.rounds, patterns=300)
    config = dataclasses.replace(quick_config, single_pass=True, rounds=rounds)
    reconstruct(patterns, tmp_path / "whole", config, quiet=True)
    new = 5  # blocks of new patterns: 300 and 100, 200 and 300, ... of 400 a block
    stopped = stop_after(config, new + 1)
    assert checkpoint.load(stopped).round.kind == "relocate"
    resume(stopped, quiet=True)
    assert_same(stopped, tmp_path / "whole")


def test_patterns_without_a_file_are_those_of_the_file(patterns):
    made = xraisim.stream(tomllib.loads(read_truth(truth_path(patterns)).config))
    with PatternStream(patterns, 400, 1.0) as stored, PatternStream(made, 400, 1.0) as drawn:
        assert len(stored) == len(drawn)
        assert stored.diameter_angstrom == drawn.diameter_angstrom
        for (rows, one), (_, other) in zip(stored.blocks(150), drawn.blocks(150), strict=True):
            assert rows.stop - rows.start == len(one)
            pixels = len(stored.pixels)
            assert torch.equal(one.dense(pixels), other.dense(pixels))


def test_a_reconstruction_needs_no_file(patterns, brief_config, brief_run, tmp_path):
    made = xraisim.stream(tomllib.loads(read_truth(truth_path(patterns)).config))
    reconstruct(made, tmp_path / "run", brief_config, quiet=True)
    found = found_orientations(tmp_path / "run/poses.h5")
    assert torch.equal(found, found_orientations(brief_run / "poses.h5"))


def test_known_background_is_honoured(simulate, quick_config, tmp_path):
    """A background of a third of all photons costs little where the likelihood knows of it."""
    noisy = simulate(tmp_path, background=25.0)
    with PatternStream(noisy, 400, 1.0) as stream:
        counts = sum(photons.totals().sum() for _, photons in stream.blocks())
        background = len(stream) * float(stream.pixels.background.sum())
    assert 0.2 < background / counts < 0.6
    # Background flattens the likelihood: this start anneals more gently than the others' here.
    start = dataclasses.replace(quick_config.start, steps=150, growth=1.05, restarts=2)
    config = dataclasses.replace(quick_config, start=start)
    reconstruct(noisy, tmp_path / "run", config, quiet=True)
    found, true = found_orientations(tmp_path / "run/poses.h5"), true_orientations(noisy)
    assert share_within(found, true, 10.0) > 0.6
    with h5py.File(tmp_path / "run/poses.h5") as file:
        fluence = file["fluence"][()]
    assert np.corrcoef(fluence, read_truth(truth_path(noisy)).fluence)[0, 1] > 0.85


def test_poses_of_new_patterns(run, patterns, tmp_path):
    directory, _ = run
    find_poses(directory, None, tmp_path / "poses.h5")
    found, true = found_orientations(tmp_path / "poses.h5"), true_orientations(patterns)
    assert share_within(found, true, 10.0) > 0.6
    find_poses(directory, patterns, tmp_path / "encoder.h5", encoder_only=True)
    with h5py.File(tmp_path / "encoder.h5") as file:
        assert set(file) == {"orientations", "probability", "error_deg"}
        assert attribute(file["error_deg"], "units") == "degree"
        assert 0 < float(np.median(file["error_deg"][()])) < 60
    # One network pass, of an encoder that saw 60 small batches.
    assert share_within(found_orientations(tmp_path / "encoder.h5"), true, 15.0) > 0.4


def test_refinement_climbs_and_returns_to_the_pose(run, patterns, quick_config):
    directory, _ = run
    state = checkpoint.load(directory)
    with PatternStream(patterns, 300, 1.0) as stream:
        _, photons = next(iter(stream.blocks()))
        likelihood, steps = (
            PoseLikelihood(state.volume, stream.pixels, photons),
            NewtonSteps(4, 0.1),
        )
        held = refine(likelihood, state.column("orientations")[:300].clone(), steps)
        start = so3.perturb(held.quaternion, 1, 0.03, generator(0, "start"))[:, 0].contiguous()
        before = refine(likelihood, start, NewtonSteps(0, 0.1))
        after = refine(likelihood, start, steps)
    assert (after.loglik >= before.loglik).all()
    returned = rotations.angle_between(after.quaternion, held.quaternion)
    assert float(torch.rad2deg(returned).median()) < 0.5


def test_stream_blocks_cover_the_range_in_order(patterns):
    with PatternStream(patterns, 500, 0.0) as cold, PatternStream(patterns, 500, 1.0) as warm:
        for _ in range(2):
            rows = [(r.start, r.stop) for r, _ in warm.blocks(300, 900)]
            assert rows == [(300, 500), (500, 900)]
        pairs = zip(cold.blocks(300, 900), warm.blocks(300, 900), strict=True)
        for (_, a), (_, b) in pairs:
            assert np.array_equal(a.pixel, b.pixel)
            assert np.array_equal(a.totals(), b.totals())


def test_unusable_input_is_refused(run, patterns, quick_config, tmp_path):
    directory, _ = run
    with pytest.raises(UserError, match="already holds a run"):
        reconstruct(patterns, directory, quick_config)
    with pytest.raises(FormatError, match="no such pattern file"):
        reconstruct(tmp_path / "missing.h5", tmp_path / "new", quick_config)
    assert not (tmp_path / "new").exists()
    with pytest.raises(FormatError, match=r"holds no checkpoint.pt"):
        resume(tmp_path)
    state = State(patterns="p.h5", extent={})
    state.volume = Volume(values=torch.ones(7, 7, 7), spacing=1.0, kind="intensity")
    checkpoint.save(state, tmp_path)
    content = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    content["volume"]["values"] = torch.ones(7, 7, 3)
    torch.save(content, tmp_path / "checkpoint.pt")
    with pytest.raises(FormatError, match=r"shape \(7, 7, 3\) is no cube"):
        checkpoint.load(tmp_path)
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(FormatError, match="not a readable checkpoint"):
        resume(tmp_path)
    config = dataclasses.replace(quick_config, device="cuda:99")
    with pytest.raises(DeviceError, match="no compute device 'cuda:99'"):
        reconstruct(patterns, tmp_path / "new", config)
    assert not (tmp_path / "new").exists()


def test_a_run_is_not_continued_on_other_patterns(patterns, brief_config, stop_after, tmp_path):
    stopped = stop_after(brief_config, 1)
    kept = checkpoint.load(stopped)
    for gain in (1.0, 2.0):
        other = tmp_path / f"other-{gain:g}.h5"
        shutil.copy(patterns, other)
        with h5py.File(other, "r+") as file:
            file["detector/gain"][...] *= gain
        checkpoint.save(dataclasses.replace(kept, patterns=str(other)), stopped)
        if gain == 1:
            resume(stopped, quiet=True)
        else:
            with pytest.raises(UserError, match=r"holds other patterns than those that .* began"):
                resume(stopped, quiet=True)


def test_a_run_ends_at_the_resolution_that_is_asked_for(
    patterns, brief_config, stop_after, tmp_path
):
    config = dataclasses.replace(brief_config, resolution_angstrom=40.0)
    whole = reconstruct(patterns, tmp_path / "whole", config, quiet=True)
    assert 40.0 <= whole.d_min_angstrom < 42.0
    stopped = stop_after(config, 1)
    resume(stopped, quiet=True)
    expected = found_orientations(tmp_path / "whole/poses.h5")
    assert torch.equal(found_orientations(stopped / "poses.h5"), expected)
    assert find_poses(stopped, None, tmp_path / "poses.h5")["patterns"] == len(expected)
