"""The logarithm of the compiled loops against NumPy's."""

import numpy as np

from xraisim.core.kernels.arithmetic import log
from xraisim.core.kernels.compiled import compiled


@compiled(fast=True)
def logs(x):
    out = np.empty_like(x)
    for i in range(len(x)):
        out[i] = log(x[i])
    return out


def test_logarithm():
    x = np.concatenate([np.logspace(-300, 300, 20_001), np.linspace(0.5, 2, 20_001)])
    assert np.abs(logs(x) - np.log(x)).max() < 2e-11 + 4e-16 * 700
    assert logs(np.ones(1))[0] == 0


def test_what_is_not_finite_stays_so():
    assert np.isnan(logs(np.array([np.nan, np.inf]))).all()
