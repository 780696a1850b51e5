"""Array shapes are checked at test time: beartype on every function whose arguments state them."""

from pathlib import Path

import pytest
from jaxtyping import install_import_hook

import xraisim  # noqa: F401  (before torch: it sets how threads wait)

# Listed one by one: numba compiles the kernel modules, and a wrapped function is not compilable.
_SHAPED = [
    "baselines.emc.anneal",
    "baselines.emc.candidates",
    "baselines.emc.compress",
    "baselines.emc.correlate",
    "baselines.emc.dense",
    "baselines.emc.expand",
    "baselines.emc.halves",
    "baselines.emc.harmonic",
    "baselines.emc.harmonics",
    "baselines.emc.iterate",
    "baselines.emc.maximize",
    "baselines.emc.models",
    "baselines.emc.orientations",
    "baselines.emc.polar",
    "baselines.emc.posterior",
    "baselines.emc.stage",
    "baselines.emc.stream",
    "baselines.phasing.iterate",
    "baselines.phasing.projections",
    "baselines.phasing.prtf",
    "baselines.phasing.run",
    "baselines.phasing.stage",
    "baselines.phasing.support",
    "baselines.phasing.transforms",
    "baselines.report.patterns",
    "benchmarks.oracle",
    "benchmarks.score",
    "benchmarks.slices",
    "xrai.checkpoint",
    "xrai.decoder",
    "xrai.encoder",
    "xrai.losses",
    "xrai.poses",
    "xrai.start",
    "xrai.teach",
    "xraisim.core.align",
    "xraisim.core.fourier",
    "xraisim.core.fsc",
    "xraisim.core.likelihood",
    "xraisim.core.merge",
    "xraisim.core.philox_torch",
    "xraisim.core.rotations",
    "xraisim.core.sampling",
    "xraisim.core.search",
    "xraisim.core.so3",
    "xraisim.core.symmetry",
    "xraisim.core.types",
    "xraisim.photons.torch_source",
    "xraisim.photons.torch_poisson",
    "xraisim.photons.torch_shots",
    "xraisim.photons.torch_spline",
]
install_import_hook(_SHAPED, "beartype.beartype")

REPOSITORY = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Material that lies beside the checkout on some machines; tests skip where it is absent."""
    path = REPOSITORY.parent / "shared"
    if not path.is_dir():
        pytest.skip("no directory `shared` beside the checkout")
    return path
