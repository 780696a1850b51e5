import dataclasses
import itertools
import json
import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from xraisim.core.errors import SamplingError
from xraisim.figure_axes import resolution_axis
from xraisim.instrument.beam import Beam, FluenceSpread
from xraisim.instrument.detector import Detector, geometry, pixel_positions, scattering_vectors
from xraisim.photons.expected import ExpectedPhotons
from xraisim.photons.shots import ShotRecipe, draw_shots
from xraisim.planning import formulas
from xraisim.planning.figure import plan_figure
from xraisim.planning.mean_intensity import radial_intensity
from xraisim.planning.plan import assess, edge_resolution, plan
from xraisim.planning.shells import shell_edges
from xraisim.planning.table import cautions, mapping, shell_tables, summary
from xraisim.scattering.form_factors import profile
from xraisim.scattering.intensity import intensity_spline
from xraisim.scattering.structure_factor import structure_factor_direct
from xraisim.simulation.config import from_mapping

ENERGY_EV = 4600.0
BEAM = Beam(photons_per_pulse=5e17)
DETECTOR = Detector(rows=40, columns=40, pixel_size_mm=2.0)


@pytest.fixture(scope="module")
def small_geometry():
    return geometry(DETECTOR, BEAM)


@pytest.fixture(scope="module")
def mean(cloud, small_geometry):
    return radial_intensity(cloud, small_geometry.s_max, ENERGY_EV)


def assessed(detector, intensity, diameter=80.0, background=0.0, wavelength=None):
    return assess(
        detector,
        np.full(len(detector.mask), background),
        intensity,
        structure="test",
        instrument="test",
        diameter_angstrom=diameter,
        wavelength_angstrom=wavelength or BEAM.wavelength_angstrom,
        fluence_photons_per_um2=BEAM.fluence_photons_per_um2,
    )


def porod(s):
    """A mean intensity of about the right shape, for what depends on the geometry alone."""
    return 1e6 / (1 + (50 * s) ** 4)


def debye(atoms, s):
    """⟨|F|²⟩ by Debye's formula over pairs of atoms: no orientation is sampled at all."""
    distance = np.linalg.norm(atoms.positions[:, None] - atoms.positions[None], axis=2)
    kinds = zip(atoms.elements, atoms.b_iso, atoms.occupancy, strict=True)
    f = np.array([n * profile(int(z), b, s, ENERGY_EV) for z, b, n in kinds])
    pairs = np.real(f[:, None] * f[None].conj())
    return (pairs * np.sinc(2 * s * distance[..., None])).sum((0, 1))


def test_the_mean_intensity_is_debyes(cloud, mean):
    """48 slices; with few speckles per ring the quadrature is close to exact, further out 2 %."""
    inner, outer = np.array([0.004, 0.01, 0.02]), np.linspace(0.03, 0.095, 9)
    np.testing.assert_allclose(mean.at(inner), debye(cloud, inner), rtol=0.01)
    ratio = mean.at(outer) / debye(cloud, outer)
    np.testing.assert_allclose(ratio, 1, atol=0.08)
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    with pytest.raises(SamplingError, match=r"asked for 0\.2"):
        mean.at(np.array([0.2]))


def test_at_zero_it_is_the_electrons_squared(cloud):
    found = radial_intensity(cloud.at_rest(), 0.05, None)
    assert found.at(np.zeros(1))[0] == pytest.approx(cloud.electrons**2, rel=1e-3)


def test_photons_are_those_of_the_simulation(cloud, small_geometry, mean):
    """Per shell against the mean of what the simulator expects over 600 random orientations."""
    found = assessed(small_geometry, mean.at, cloud.diameter_angstrom)
    volume = intensity_spline(cloud, small_geometry.s_max, ENERGY_EV)
    recipe = ShotRecipe(fluence=FluenceSpread(distribution="constant"))
    shots = draw_shots(recipe, 0, 0, 600)
    expected = ExpectedPhotons([volume], small_geometry).of(shots).mean(0)
    radius = np.linalg.norm(small_geometry.s, axis=1)
    total = 0.0
    for shell in found.shells:
        outer = shell.s_max_per_angstrom * (1 + 1e-9 * (shell is found.shells[-1]))
        inside = (radius >= shell.s_min_per_angstrom) & (radius < outer)
        assert shell.pixels == inside.sum()
        assert shell.photons_per_pattern == pytest.approx(expected[inside].sum(), rel=0.05)
        assert shell.photons_per_pixel == pytest.approx(expected[inside].mean(), rel=0.05)
        total += shell.photons_per_pattern
    assert found.photons_per_pattern == pytest.approx(expected.sum(), rel=0.02)
    assert total == pytest.approx(found.photons_per_pattern)


def test_photons_scale_with_the_fluence():
    def photons(pulse):
        beam = Beam(photons_per_pulse=pulse)
        return assessed(geometry(DETECTOR, beam), porod).photons_per_pattern

    assert photons(3e15) == pytest.approx(3 * photons(1e15))


@pytest.mark.parametrize("background", [0.0, 0.3])
def test_the_correlation_is_what_poisson_noise_leaves(cloud, background):
    """Counts drawn from real intensities of a shell, at the number of patterns the formula gives.

    The formula takes the intensities to be exponential; a particle's are nearly so.
    """
    rng = np.random.default_rng(1)
    direction = rng.normal(size=(20_000, 3))
    s = 0.09 * direction / np.linalg.norm(direction, axis=1, keepdims=True)
    intensity = np.abs(structure_factor_direct(cloud, s, ENERGY_EV)) ** 2
    per_voxel = 0.002
    n = formulas.patterns_for_correlation(per_voxel, background * per_voxel, 0.5)
    signal = n * per_voxel * intensity / intensity.mean()
    counts = rng.poisson(signal + n * background * per_voxel)
    assert np.corrcoef(counts, intensity)[0, 1] == pytest.approx(0.5, abs=0.04)


def test_patterns_for_a_correlation_in_closed_form():
    assert formulas.patterns_for_correlation(0.01, 0.0, 0.5) == pytest.approx(1 / 3 / 0.01)
    assert formulas.patterns_for_correlation(0.01, 0.03, 0.5) == pytest.approx(4 / 3 / 0.01)
    assert formulas.patterns_for_correlation(0.01, 0.0, 0.9) == pytest.approx(0.81 / 0.19 / 0.01)
    assert formulas.patterns_for_correlation(0.0, 0.03, 0.5) == math.inf


def test_coverage_is_what_random_hits_give():
    """Slices thrown at 500 voxels until all were met, 400 times."""
    rng = np.random.default_rng(2)
    voxels, rate = 500, 0.02
    n = formulas.patterns_for_coverage(voxels, rate)
    missed = rng.poisson(n * rate, size=(4000, voxels)) == 0
    assert 1 - missed.any(1).mean() == pytest.approx(0.95, abs=0.015)
    assert formulas.patterns_for_coverage(voxels, 0.0) == math.inf


def test_a_photon_tells_as_much_as_exponential_intensities_do():
    x = np.random.default_rng(3).exponential(size=1_000_000)
    assert (x * np.log(x)).mean() == pytest.approx(formulas.NATS_PER_PHOTON, abs=0.005)
    assert formulas.orientation_photons(50_100) == pytest.approx(math.log(50_100) / 0.42278, 1e-4)


def test_curvature_is_the_ewald_sphere():
    position = pixel_positions(Detector(rows=9, columns=9, pixel_size_mm=15, distance_mm=50))
    s = scattering_vectors(position, 2.5)
    for vector in s:
        expected = formulas.curvature(float(np.linalg.norm(vector)), 2.5)
        assert -vector[2] == pytest.approx(expected, abs=1e-12)


def test_the_blind_region_is_what_a_full_turn_misses():
    """Points of a shell spun about y: each meets the Ewald sphere only below some latitude."""
    wavelength, s = 2.0, 0.4
    rng = np.random.default_rng(4)
    direction = rng.normal(size=(200_000, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    off_axis = s * np.hypot(direction[:, 0], direction[:, 2])
    missed = off_axis < wavelength * s**2 / 2  # the turn never brings z down to −λs²/2
    assert formulas.blind_fraction(s, wavelength) == pytest.approx(missed.mean(), rel=0.02)


@pytest.mark.parametrize(("level", "count"), [(4, 3240), (6, 10_860), (8, 25_680), (10, 50_100)])
def test_dragonflys_orientations(level, count):
    assert formulas.dragonfly_orientations(level) == count


def test_voxels_fill_half_the_ball():
    edges = shell_edges(0.0, 0.1, 200.0)
    total = sum(formulas.shannon_voxels(a, b, 200.0) for a, b in itertools.pairwise(edges))
    assert total == pytest.approx(0.5 * 4 / 3 * math.pi * (0.1 * 200) ** 3)
    assert formulas.crowther_views(200.0, 0.1) == math.ceil(math.pi * 20)


def test_edge_and_corner_of_a_square_detector():
    detector = Detector(rows=101, columns=101, pixel_size_mm=1.0, distance_mm=150)
    made = geometry(detector, BEAM)
    found = assessed(made, porod)
    wavelength = BEAM.wavelength_angstrom

    def s(x):
        return 2 * math.sin(math.atan(x / 150) / 2) / wavelength

    assert found.corner_resolution_angstrom == pytest.approx(1 / s(50 * math.sqrt(2)))
    assert found.edge_resolution_angstrom == pytest.approx(1 / s(50), rel=0.005)
    # half of a detector sees every direction up to Friedel's law, a quarter does not
    assert edge_resolution(made.s[made.s[:, 1] >= 0]) == pytest.approx(1 / s(50), rel=0.005)
    assert edge_resolution(made.s[(made.s[:, 0] > 0) & (made.s[:, 1] > 0)]) is None


def test_coverage_follows_the_mask():
    """Whole inside the edge, half with half of the pixels gone, less in the corners."""
    detector = geometry(Detector(rows=128, columns=128, pixel_size_mm=0.7), BEAM)
    whole = assessed(detector, porod).shells
    edge = 1 / assessed(detector, porod).edge_resolution_angstrom
    inside = [shell for shell in whole if shell.s_max_per_angstrom < edge]
    assert len(inside) > 3
    for shell in inside[1:]:
        assert shell.coverage == pytest.approx(1, abs=0.06)
    assert whole[-1].coverage < 0.3
    half = dataclasses.replace(detector, reasons=(detector.position_mm[:, 1] > 0).astype(np.uint8))
    for shell in assessed(half, porod).shells[1 : len(inside)]:
        assert shell.coverage == pytest.approx(0.5, abs=0.04)


def test_sampling_and_flatness_in_closed_form():
    detector = geometry(Detector(rows=64, columns=64, pixel_size_mm=1.0, distance_mm=200), BEAM)
    found = assessed(detector, porod, diameter=150.0)
    step = 1.0 / 200 / BEAM.wavelength_angstrom
    assert found.pixels_per_speckle == pytest.approx(1 / (2 * 150 * step), rel=1e-4)
    assert found.flat_resolution_angstrom == pytest.approx(
        math.sqrt(150 * BEAM.wavelength_angstrom)
    )
    # at √(λD) the sphere has left its tangent plane by half of 1/D
    s = 1 / found.flat_resolution_angstrom
    assert formulas.curvature(s, BEAM.wavelength_angstrom) * 150 == pytest.approx(0.5)


def test_weaker_shells_need_more_patterns_and_background_still_more(small_geometry):
    clean, hazy = (assessed(small_geometry, porod, background=b) for b in (0.0, 1.0))
    assert hazy.background_per_pattern == pytest.approx(len(small_geometry.good))
    for one, other in zip(clean.shells, hazy.shells, strict=True):
        assert other.patterns_for_photons > one.patterns_for_photons
        assert other.patterns_for_coverage == one.patterns_for_coverage
    needed = clean.patterns_to(clean.corner_resolution_angstrom)
    assert needed == max(shell.patterns for shell in clean.shells)
    assert clean.resolution_with(needed) == clean.shells[-1].resolution_angstrom
    assert clean.resolution_with(0) is None
    middle = clean.shells[1]
    assert clean.resolution_with(middle.patterns) >= middle.resolution_angstrom


def test_a_gap_between_shells_ends_what_is_resolved(small_geometry):
    whole = assessed(small_geometry, porod)
    hidden = whole.shells[2]
    radius = np.linalg.norm(small_geometry.s, axis=1)
    ring = (radius >= hidden.s_min_per_angstrom) & (radius < hidden.s_max_per_angstrom)
    found = assessed(dataclasses.replace(small_geometry, reasons=ring.astype(np.uint8)), porod)
    assert (found.shells[2].pixels, found.shells[2].photons_per_pixel) == (0, 0)
    assert found.shells[2].patterns == math.inf
    assert found.resolution_with(1e12) == found.shells[1].resolution_angstrom


@pytest.fixture
def whole_plan(small_particle):
    mapping = {"structure": str(small_particle), "background": {"photons_per_pixel": 0.01}}
    mapping["detector"] = {"rows": 32, "columns": 32, "pixel_size_mm": 3.0}
    return plan(from_mapping(mapping))


def test_a_plan_from_a_configuration(whole_plan):
    assert whole_plan.instrument == "xrai2025"
    assert whole_plan.background_per_pattern == pytest.approx(0.01 * 32**2)
    assert 0 < whole_plan.photons_beyond_centre < whole_plan.photons_per_pattern


def test_cautions_are_about_what_is_wrong(whole_plan):
    oriented, blind = (
        tuple(
            dataclasses.replace(one, unknown_orientations_factor=factor)
            for one in whole_plan.shells
        )
        for factor in (1.1, math.inf)
    )
    sound = dataclasses.replace(
        whole_plan, pixels_per_speckle=1.5, shells=oriented, missing_speckles=0.3
    )
    assert cautions(sound) == []
    for change, word in (
        ({"pixels_per_speckle": 0.7}, "undersampled"),
        ({"shells": blind}, "at best all of them together"),
        ({"shells": (oriented[0], *blind[1:])}, "no single pattern can be oriented"),
        ({"missing_speckles": 2.5}, "hidden"),
        ({"edge_resolution_angstrom": None}, "no usable pixel"),
    ):
        (found,) = cautions(dataclasses.replace(sound, **change))
        assert word in found


def test_a_plan_is_json_even_where_nothing_suffices(whole_plan):
    dark = dataclasses.replace(whole_plan.shells[0], patterns_for_photons=math.inf)
    found = json.loads(
        json.dumps(mapping(dataclasses.replace(whole_plan, shells=(dark,))), allow_nan=False)
    )
    assert found["shells"][0]["patterns_for_photons"] is None
    assert found["shells"][0]["resolution_angstrom"] == dark.resolution_angstrom
    assert found["diameter_angstrom"] == whole_plan.diameter_angstrom


def test_the_upper_axis_reads_resolutions():
    axes = Figure().subplots()
    axes.set_xlim(0, 0.1)
    resolution_axis(axes)
    (above,) = (other for other in axes.figure.axes if other is not axes)
    labels = [float(label.get_text()) for label in above.get_xticklabels()]
    np.testing.assert_allclose(above.get_xticks(), 1 / np.array(labels))
    assert {10, 50} <= set(labels)
    assert np.abs(np.diff(above.get_xticks())).min() > 0.007


def test_table_and_picture(whole_plan, tmp_path):
    rows = dict(summary(whole_plan))
    assert f"{whole_plan.corner_resolution_angstrom:.3g} Å" in rows["corner resolution"]
    assert [t.row_count for t in shell_tables(whole_plan)] == [len(whole_plan.shells)] * 2
    path = tmp_path / "plan.png"
    plan_figure(whole_plan, path)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir() if p.suffix == ".partial"] == []
