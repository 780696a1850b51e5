"""No compiled loop is given a number that lies outside: it would read, or write, anywhere."""

import subprocess
import sys
from copy import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from xraisim.core import rotations
from xraisim.core.admission import admit_photons, check_photons
from xraisim.core.errors import DivergedError, FormatError, SamplingError, UserError
from xraisim.core.likelihood import (
    candidate_loglik,
    pose_scores,
    pose_scores_reference,
)
from xraisim.core.merge import Accumulator
from xraisim.core.misfit import goodness, goodness_reference
from xraisim.core.sampling import check_inside, insert_slice_pairs, insert_slices, slice_volume
from xraisim.core.types import Photons


def entry_points(given):
    """Return every function in front of the loops over slices, of (poses, pixels, photons)."""
    volume, fluence = given.volume, given.fluence
    values = torch.ones(len(given.poses), len(given.pixels))
    place = volume.spacing, volume.grid

    def merge(q, pixels, photons):
        Accumulator.empty(*reversed(place)).add(pixels, photons, q, fluence)

    return {
        "slice": lambda q, p, _: slice_volume(
            volume.values, rotations.to_matrix(q), p.s, volume.spacing
        ),
        "insert": lambda q, p, _: insert_slices(values, rotations.to_matrix(q), p.s, *place),
        "pairs": lambda q, p, _: insert_slice_pairs(
            values, values, rotations.to_matrix(q), p.s, *place
        ),
        "candidates": lambda q, p, k: candidate_loglik(volume, p, k, q[:, None]),
        "scores": lambda q, p, k: pose_scores(volume, p, k, q),
        "goodness": lambda q, p, k: goodness(volume, p, k, q),
        "merge": merge,
    }


NAMES = ["slice", "insert", "pairs", "candidates", "scores", "goodness", "merge"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e20, 5.0])
def test_what_is_no_rotation_is_refused(clean, name, value):
    poses = clean.poses.clone()
    poses[7, 2] = value
    with pytest.raises(DivergedError, match="1 of 60 orientations are no rotations"):
        entry_points(clean)[name](poses, clean.pixels, clean.photons)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", [float("nan"), -float("inf"), 10.0])
def test_pixels_outside_are_refused(clean, name, value):
    s = clean.pixels.s.clone()
    s[3, 1] = value
    with pytest.raises(SamplingError):
        entry_points(clean)[name](clean.poses, replace(clean.pixels, s=s), clean.photons)


def damaged(photons: Photons):
    """Yield blocks that are no blocks: rows, pixels or counts that are not there."""
    offsets, pixel = photons.offsets.copy(), photons.pixel.copy()
    offsets[2], pixel[11] = offsets[-1] + 9, -1
    yield "steps back", replace(photons, offsets=offsets)
    yield "pixel below 0", replace(photons, pixel=pixel)
    few = copy(photons)
    vars(few)["count"] = photons.count[:-1]  # past the checker of shapes, which is the tests' own
    yield "too few counts", few
    yield "too few entries", replace(photons, pixel=pixel[:9], count=photons.count[:9])
    yield "no row", replace(photons, offsets=photons.offsets[:0])
    yield "begins late", replace(photons, offsets=photons.offsets + 1)
    yield "a row too few", replace(photons, offsets=photons.offsets[:-1])


@pytest.mark.parametrize("name", ["candidates", "scores", "goodness", "merge"])
def test_damaged_blocks_are_refused(clean, name):
    for _, photons in damaged(clean.photons):
        with pytest.raises(FormatError):
            entry_points(clean)[name](clean.poses, clean.pixels, photons)


def test_counts_and_pixels_have_bounds(clean):
    photons, pixels = clean.photons, len(clean.pixels)
    check_photons(photons, pixels)
    for _, block in list(damaged(photons))[:-1]:
        with pytest.raises(FormatError, match="impossible entries"):
            check_photons(block, pixels)
    for name, value in (("count", -1), ("pixel", pixels)):
        array = getattr(photons, name).copy()
        array[-1] = value
        with pytest.raises(FormatError, match=f"{name} {value}; expected 0"):
            check_photons(replace(photons, **{name: array}), pixels)


def test_entries_that_count_nothing_are_dropped():
    offsets, pixel, count = np.array([0, 2, 3, 3]), np.array([4, 5, 6]), np.array([0, 2, 0])
    found = admit_photons(offsets, pixel, count, 7, "here")
    assert found.offsets.tolist() == [0, 1, 1, 1]
    assert found.pixel.tolist() == [5]
    assert found.count.tolist() == [2]


def test_two_columns_of_s_are_refused(clean):
    with pytest.raises(SamplingError, match="expected three numbers per pixel"):
        check_inside(torch.zeros(4, 2), 33, 0.01)


def test_pixels_may_come_as_near_to_the_edge_as_rounding_allows():
    turn = torch.eye(3)[None]
    volume = torch.ones(9, 9, 9)
    for direction in torch.eye(3):
        s = 4 * (1 - 1e-5) * torch.stack([direction, -direction])
        assert torch.equal(slice_volume(volume, turn, s, 1.0), torch.ones(1, 2))
        with pytest.raises(SamplingError):
            slice_volume(volume, turn, s * (1 + 1e-5), 1.0)
    with pytest.raises(SamplingError, match="ends at 3 "):  # an even cube is a voxel shorter
        slice_volume(torch.ones(8, 8, 8), turn, torch.tensor([[3.5, 0, 0]]), 1.0)


def test_cubes_whose_voxels_cannot_be_numbered_are_refused():
    with pytest.raises(SamplingError, match="at most 1,625 can be numbered"):
        check_inside(torch.zeros(4, 3), 1627, 0.01)


@pytest.mark.parametrize("name", ["clean", "noisy"])
def test_a_volume_that_is_not_finite_is_not_passed_over(request, name):
    given = request.getfixturevalue(name)
    damaged = replace(given.volume, values=torch.full_like(given.volume.values, torch.nan))
    where = damaged, given.pixels, given.photons
    scores = pose_scores(*where, given.poses)
    assert not scores.value.isfinite().any()
    assert not scores.gradient.isfinite().any()
    assert not candidate_loglik(*where, given.poses[:, None])[0].isfinite().any()


@pytest.mark.parametrize("name", ["clean", "noisy"])
def test_a_pattern_without_photons_tells_nothing(request, name):
    given = request.getfixturevalue(name)
    lengths = np.diff(given.photons.offsets)
    lengths[3] = 0
    keep = given.photons.rows() != 3
    dark = Photons(
        offsets=np.concatenate([[0], np.cumsum(lengths)]),
        pixel=given.photons.pixel[keep],
        count=given.photons.count[keep],
    )
    where = given.volume, given.pixels, dark, given.poses
    for scores in (pose_scores(*where), pose_scores_reference(*where)):
        assert scores.value[3] == 0
        assert not scores.gradient[3].any()
        assert not scores.fisher[3].any()
        assert scores.fisher.isfinite().all()
    for fit in (goodness(*where), goodness_reference(*where)):
        assert fit.misfit[3] == fit.unexplained[3] == fit.fluence[3] == 0
    assert dark.lit().tolist() == [i for i in range(60) if i != 3]


SCRIPT = """
import torch
from tests.xraisim.core.conftest import draw_experiment
from tests.xraisim.core.test_walls import damaged, entry_points
from xraisim.core.errors import UserError

given = draw_experiment(4)
nowhere = torch.full_like(given.poses, torch.nan)
bad = [(nowhere, given.pixels, given.photons)]
bad += [(given.poses, given.pixels, photons) for _, photons in damaged(given.photons)]
for call in entry_points(given).values():
    for arguments in bad:
        try:
            call(*arguments)
        except UserError as error:
            print(type(error).__name__)
"""


def test_no_process_dies(pytestconfig):
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=pytestconfig.rootpath, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    # Three of the seven take no photons.
    assert found.stdout.split().count("DivergedError") == 7
    assert found.stdout.split().count("FormatError") == 4 * 7
    assert issubclass(DivergedError, UserError)
