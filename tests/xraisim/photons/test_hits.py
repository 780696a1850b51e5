import numpy as np
import pytest
from scipy import stats

from xraisim.core.errors import ConfigError
from xraisim.photons.hits import BLANK, CONTAMINANT, MULTIPLE, SINGLE, Hits

N = 40_000
INDICES = np.arange(N)
HITS = Hits(
    blank_fraction=0.3,
    multiple_fraction=0.2,
    contaminant_fraction=0.1,
    contaminant_radius_spread=0.3,
)


def test_classes_come_as_often_as_asked():
    hit, number = HITS.draw(0, INDICES)
    expected = np.zeros(4)
    expected[[BLANK, SINGLE, MULTIPLE, CONTAMINANT]] = 0.3, 0.4, 0.2, 0.1
    assert stats.chisquare(np.bincount(hit), N * expected).pvalue > 1e-3
    assert (number[hit == BLANK] == 0).all()
    assert (number[(hit == SINGLE) | (hit == CONTAMINANT)] == 1).all()
    assert (number[hit == MULTIPLE] >= 2).all()


def test_every_shot_is_a_single_hit_by_default():
    hit, number = Hits().draw(0, INDICES[:100])
    assert (hit == SINGLE).all()
    assert (number == 1).all()
    assert Hits().mean_particles == 0


@pytest.mark.parametrize("fraction", [1e-4, 0.2, 0.57])
def test_one_and_several_come_in_poisson_proportion(fraction):
    hits = Hits(blank_fraction=0.3, contaminant_fraction=0.1, multiple_fraction=fraction)
    number = stats.poisson(hits.mean_particles)
    assert number.sf(1) / number.sf(0) == pytest.approx(fraction / 0.6, rel=1e-6)


@pytest.mark.parametrize("fraction", [0.2, 0.57])
def test_the_numbers_of_several_are_poisson(fraction):
    hits = Hits(blank_fraction=0.3, contaminant_fraction=0.1, multiple_fraction=fraction)
    hit, found = hits.draw(1, INDICES)
    several = found[hit == MULTIPLE]
    number = stats.poisson(hits.mean_particles)
    share = np.append(number.pmf([2, 3, 4]), number.sf(4)) / number.sf(1)
    observed = np.bincount(np.minimum(several, 5) - 2, minlength=4)
    assert stats.chisquare(observed, len(several) * share).pvalue > 1e-3


def test_contaminant_radii_are_lognormal_and_end():
    size = HITS.draw_sizes(0, INDICES)
    assert stats.kstest(np.log(size) / 0.3, stats.truncnorm(-3, 3).cdf).pvalue > 1e-3
    assert size.max() < HITS.largest_size == pytest.approx(np.exp(0.9))
    assert (Hits(contaminant_radius_spread=0).draw_sizes(0, INDICES) == 1).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"blank_fraction": -0.1}, "blank_fraction is -0.1; expected 0 to 1"),
        ({"blank_fraction": 0.6, "contaminant_fraction": 0.5}, "together they cannot be more"),
        ({"multiple_fraction": 1.0}, "at most 0.95 of them can be multiple"),
        ({"contaminant_radius_angstrom": 0.0}, "radius_angstrom is 0.0; expected above 0"),
        ({"contaminant_radius_spread": 0.8}, "spread is 0.8; expected 0 to 0.5"),
        ({"contaminant_electrons_per_angstrom3": float("inf")}, "expected above 0"),
    ],
)
def test_impossible_hits_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        Hits(**settings)
