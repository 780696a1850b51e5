import itertools

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from xraisim.core.errors import ConfigError
from xraisim.sample.materials import MATERIALS
from xraisim.sample.shapes import SHAPES, Body, polyhedron_transform
from xraisim.scattering.intensity import intensity_spline, look_up

SIZE = 100.0
VOLUME = {  # for an edge (a diameter) of 1
    "sphere": np.pi / 6,
    "cube": 1.0,
    "octahedron": np.sqrt(2) / 3,
    "icosahedron": 5 * (3 + np.sqrt(5)) / 12,
}
GYRATION = {  # radius of gyration squared over the edge squared (Ball's integrals, uniform solids)
    "sphere": 3 / 20,
    "cube": 1 / 4,
    "octahedron": 3 / 20,
    "icosahedron": 3 / 20 * ((1 + np.sqrt(5)) / 2) ** 2,
}


def body(shape: str, **options) -> Body:
    return Body(shape=shape, size_angstrom=SIZE, electrons_per_angstrom3=1.0, **options)


def transform(shape: str, s: np.ndarray) -> np.ndarray:
    return body(shape).transform(*np.asarray(s, float).T)


def directions(n: int) -> np.ndarray:
    s = np.random.default_rng(1).normal(size=(n, 3))
    return s / np.linalg.norm(s, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES)
def test_forward_scattering_is_density_times_volume(shape):
    particle = Body(shape=shape, size_angstrom=SIZE, electrons_per_angstrom3=0.43)
    assert particle.electrons == pytest.approx(0.43 * VOLUME[shape] * SIZE**3, rel=1e-12)
    assert transform(shape, np.zeros((1, 3)))[0] == pytest.approx(VOLUME[shape] * SIZE**3)


@pytest.mark.parametrize("shape", SHAPES)
def test_guiniers_law_has_the_solids_radius_of_gyration(shape):
    """F = V (1 − q² Rg²/6 + …): the direction average of the curvature at 0."""
    s = 2e-4  # q R ~ 0.1
    three = s * np.eye(3)  # these solids have a cubic inertia tensor, so the axes' mean suffices
    fallen = 1 - transform(shape, three).mean() / (VOLUME[shape] * SIZE**3)
    expected = (2 * np.pi * s) ** 2 * GYRATION[shape] * SIZE**2 / 6
    assert fallen == pytest.approx(expected, rel=2e-3)


def test_a_cube_as_a_polyhedron_is_the_product_of_sincs():
    s = np.concatenate(
        [
            0.1 * directions(500),
            1e-5 * directions(20),
            np.array(list(itertools.product((-0.07, 0.0, 1e-9, 0.04), repeat=3))),
            [[0.03, 0.03, 1e-12], [0.02, 0.02, 0.02], [0.01, -0.01, 0.01 + 1e-11]],
        ]
    )
    found = polyhedron_transform(body("cube").corners, *s.T)
    np.testing.assert_allclose(found, transform("cube", s), atol=1e-11 * SIZE**3)


@pytest.mark.parametrize("shape", ["octahedron", "icosahedron"])
def test_polyhedra_agree_with_quadrature_over_their_tetrahedra(shape):
    """Gauss-Legendre nodes in every tetrahedron (0, face), by the collapsed cube (Duffy)."""
    node, weight = np.polynomial.legendre.leggauss(24)
    node, weight = (node + 1) / 2, weight / 2
    a, b, c = np.meshgrid(node, node, node, indexing="ij")
    jacobian = a**2 * b * weight[:, None, None] * weight[None, :, None] * weight[None, None, :]
    mix = np.stack([a * (1 - b), a * b * (1 - c), a * b * c], -1).reshape(-1, 3)
    corners = body(shape).corners
    edge = np.linalg.norm(corners[:, None] - corners[None], axis=-1)
    faces = [
        f
        for f in itertools.combinations(range(len(corners)), 3)
        if all(abs(edge[i, j] - SIZE) < 1e-9 for i, j in itertools.combinations(f, 2))
    ]
    assert len(faces) == {"octahedron": 8, "icosahedron": 20}[shape]
    s = np.concatenate([0.03 * directions(15), 0.03 * np.eye(3), [[0.02, 0.02, 0.02]]])
    total = np.zeros(len(s), complex)
    for face in faces:
        points = mix @ corners[list(face)]
        jump = abs(np.linalg.det(corners[list(face)])) * jacobian.reshape(-1)
        total += np.exp(2j * np.pi * s @ points.T) @ jump
    assert np.abs(total.imag).max() < 1e-9 * SIZE**3
    np.testing.assert_allclose(transform(shape, s), total.real, atol=1e-10 * SIZE**3)


def test_an_octahedron_agrees_with_its_volume_counted_in_voxels():
    """An independent, crude integral, in steps of 1 Å."""
    reach = np.arange(-80, 81) + 0.0
    x, y, z = np.meshgrid(reach, reach, reach, indexing="ij")
    inside = np.abs(x) + np.abs(y) + np.abs(z) <= SIZE / np.sqrt(2)
    points = np.stack([x[inside], y[inside], z[inside]], 1)
    s = 0.008 * directions(5)
    counted = np.cos(2 * np.pi * s @ points.T).sum(1)
    np.testing.assert_allclose(
        transform("octahedron", s), counted, atol=0.01 * VOLUME["octahedron"] * SIZE**3
    )


def test_an_icosahedron_has_a_fivefold_axis():
    axis = body("icosahedron").corners[0]
    s = 0.08 * directions(40)
    value = transform("icosahedron", s)
    fifth = Rotation.from_rotvec(2 * np.pi / 5 * axis / np.linalg.norm(axis))
    tenth = Rotation.from_rotvec(np.pi / 5 * axis / np.linalg.norm(axis))
    scale = VOLUME["icosahedron"] * SIZE**3
    np.testing.assert_allclose(transform("icosahedron", fifth.apply(s)), value, atol=1e-12 * scale)
    assert np.abs(transform("icosahedron", tenth.apply(s)) - value).max() > 1e-5 * scale


def test_a_sphere_obeys_porods_law():
    """|F|² → 2π S / q⁴ on average over the oscillations, S the surface."""
    s = np.linspace(20, 40, 20001) / SIZE
    q = 2 * np.pi * s
    squared = transform("sphere", np.stack([s, 0 * s, 0 * s], 1)) ** 2
    surface = np.pi * SIZE**2
    assert (squared * q**4).mean() == pytest.approx(2 * np.pi * surface, rel=0.01)


def test_the_spheres_series_joins_its_closed_form():
    x = np.array([0.2999999, 0.3000001]) / (np.pi * SIZE)
    low, high = transform("sphere", np.stack([x, 0 * x, 0 * x], 1)) / (VOLUME["sphere"] * SIZE**3)
    assert low - high == pytest.approx(0.3 / 5 * 2e-7, rel=1e-2)


def test_materials_have_the_electrons_of_their_density():
    gold = MATERIALS["gold"].electrons_per_angstrom3(None)
    assert gold == pytest.approx(79 * 19.3 * 0.602214 / 196.967, rel=1e-4)
    assert MATERIALS["protein"].electrons_per_angstrom3(None).real == pytest.approx(0.43, abs=0.01)
    assert MATERIALS["water"].electrons_per_angstrom3(None).real == pytest.approx(0.334, abs=0.001)
    below, above = (MATERIALS["gold"].electrons_per_angstrom3(e) for e in (11_800, 12_000))
    assert above.imag / below.imag > 2  # the L3 edge at 11,919 eV
    assert below.real < gold.real


@pytest.mark.parametrize("shape", SHAPES)
def test_the_intensity_volume_of_a_shape_is_its_squared_transform(shape):
    """Sharp edges cost accuracy: 3 % where a protein has 1 %, and the finer grid's 0.5 %."""
    particle = Body(shape=shape, size_angstrom=SIZE, material="gold")
    s = 0.03 * directions(400) * np.random.default_rng(2).uniform(0.1, 1, (400, 1))
    expected = abs(particle.density(4600.0)) ** 2 * transform(shape, s) ** 2
    inner = np.linalg.norm(s, axis=1) < 0.01
    for voxels, tolerance in ((3.0, 0.03), (5.0, 0.005)):
        volume = intensity_spline(particle, 0.03, 4600.0, voxels_per_speckle=voxels)
        error = look_up(volume, s) - expected
        for shell in (inner, ~inner):
            relative = (error[shell] ** 2).mean() / (expected[shell] ** 2).mean()
            assert np.sqrt(relative) < tolerance


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shape": "cylinder"}, "expected one of sphere, cube"),
        ({"size_angstrom": 0.0}, "needs a size"),
        ({"size_angstrom": -1.0}, "size_angstrom is -1.0; expected at least 0"),
        ({"material": "gold"}, "needs either a material or electrons_per_angstrom3"),
        ({"electrons_per_angstrom3": 0.0}, "needs either"),
        ({"electrons_per_angstrom3": 0.0, "material": "lead"}, "expected one of gold, protein"),
    ],
)
def test_impossible_bodies_are_refused(options, message):
    given = {"shape": "cube", "size_angstrom": 10.0, "electrons_per_angstrom3": 1.0, **options}
    with pytest.raises(ConfigError, match=message):
        Body(**given)
