"""Surfaces against those of known shape."""

import numpy as np
import pytest

from xraisim.report.surface import Surface, surface

GRID = 41


def coordinates() -> np.ndarray:
    axis = np.arange(GRID) - GRID // 2
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"))


def triangles(found: Surface) -> np.ndarray:
    return np.concatenate([found.quads[:, [0, 1, 2]], found.quads[:, [0, 2, 3]]])


def volume(found: Surface) -> float:
    """The enclosed volume in voxels, negative for a surface that faces inwards."""
    a, b, c = (found.vertices[corner] for corner in triangles(found).T)
    return float((a * np.cross(b, c)).sum() / 6)


def euler(found: Surface) -> int:
    edges = np.concatenate([found.quads[:, [i, (i + 1) % 4]] for i in range(4)])
    unique, times = np.unique(np.sort(edges, axis=1), axis=0, return_counts=True)
    assert (times == 2).all(), "every edge belongs to two quads: the surface is closed"
    return len(found.vertices) - len(unique) + len(found.quads)


def test_a_ball_faces_outwards_and_has_its_radius():
    r = np.linalg.norm(coordinates(), axis=0)
    found = surface(-r, -13.3)
    distance = np.linalg.norm(found.vertices - GRID // 2, axis=1)
    np.testing.assert_allclose(distance, 13.3, atol=0.06)
    assert volume(found) == pytest.approx(4 / 3 * np.pi * 13.3**3, rel=0.01)
    assert euler(found) == 2


def test_a_torus_has_a_hole():
    x, y, z = coordinates()
    found = surface(-np.hypot(np.hypot(x, y) - 11.2, z), -4.3)
    assert euler(found) == 0
    assert volume(found) == pytest.approx(2 * np.pi**2 * 11.2 * 4.3**2, rel=0.02)


def test_a_plane_lies_where_the_values_cross_the_level():
    x, y, z = coordinates()
    values = 0.3 * x + 0.2 * y + z
    found = surface(values, 1.7)
    inner = ((found.vertices > 1) & (found.vertices < GRID - 2)).all(1)
    points = found.vertices[inner] - GRID // 2
    assert inner.sum() > 500
    np.testing.assert_allclose(points @ [0.3, 0.2, 1], 1.7, atol=1e-9)


def test_what_reaches_the_edge_is_closed_there():
    found = surface(coordinates()[0].astype(float), 4.5)
    assert euler(found) == 2
    assert volume(found) == pytest.approx((GRID // 2 - 4.5 + 0.5) * GRID**2, rel=0.1)


def test_a_level_above_everything_has_no_surface():
    found = surface(np.linspace(0, 1, 27).reshape(3, 3, 3), 2.0)
    assert found.vertices.shape == (0, 3)
    assert found.quads.shape == (0, 4)
