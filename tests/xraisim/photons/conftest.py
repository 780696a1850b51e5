"""What the tests of the torch draw share."""

import numpy as np
import pytest
import torch
from scipy import stats

_NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, _NO_GPU])])
def device(request) -> str:
    return request.param


def poisson_pvalue(counts: np.ndarray, mean: float) -> float:
    """Chi-square of counts against Poisson, in bins of at least five expected."""
    edges = [-1]
    while stats.poisson.sf(edges[-1], mean) * len(counts) >= 10:
        top = edges[-1] + 1
        while (stats.poisson.cdf(top, mean) - stats.poisson.cdf(edges[-1], mean)) * len(counts) < 5:
            top += 1
        edges.append(top)
    share = np.diff([*stats.poisson.cdf(edges[:-1], mean), 1.0])
    found = np.searchsorted(edges[1:-1], counts)
    return float(
        stats.chisquare(np.bincount(found, minlength=len(share)), share * len(counts)).pvalue
    )
