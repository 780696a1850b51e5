"""Array shapes are checked at test time: beartype on every function whose arguments state them.

And one small measurement of known volume and poses, for what looks at finished runs.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

import tests.type_check  # noqa: F401  (looked up by the hook below)
import xraisim  # noqa: F401  (before torch: it sets how threads wait)
from tests.threads import share_cores

REPOSITORY = Path(__file__).parent.parent
# Shapes and types of every function that states them are checked in the tests.
_SHAPED = [
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
    for package in ("xraisim", "xrai", "baselines", "benchmarks")
    for path in sorted((REPOSITORY / package).rglob("*.py"))
    # numba compiles what it is given, and a wrapped function is not compilable.
    if "numba" not in (text := path.read_text(encoding="utf-8")) and "jaxtyping" in text
]
install_import_hook(_SHAPED, "tests.type_check.checked")

# Workers of pytest-xdist share the cores: one thread each, and for what they start.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    share_cores()

# The default run tries the same examples every time; python -m tests.fuzz is for new ones.
settings.register_profile("same every time", derandomize=True, deadline=None)
settings.load_profile("same every time")


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


# Imports inside: the hook above has to come first.


@dataclass(frozen=True, kw_only=True)
class Lumps:
    """A measured particle of many lumps: the pattern file, and the truth that it was drawn from.

    ``volume``: the intensity; ``poses`` [N, 4] and ``fluence`` [N], float32 tensors;
    ``s_max_per_angstrom``: |s| of the outermost pixel.
    """

    patterns: Path
    volume: Any
    poses: Any
    fluence: Any
    s_max_per_angstrom: float


@pytest.fixture(scope="session")
def lumps(tmp_path_factory: pytest.TempPathFactory) -> Lumps:
    """300 patterns of 400 photons on a detector of 24 × 20 pixels, with background."""
    import torch

    from xraisim.core import rotations, so3
    from xraisim.core.random import generator
    from xraisim.core.sampling import slice_volume
    from xraisim.instrument.beam import Beam
    from xraisim.instrument.detector import Detector, geometry

    detector = geometry(
        Detector(rows=24, columns=20, pixel_size_mm=4.0, beamstop_radius_mm=6.0), Beam()
    )
    good = torch.from_numpy(detector.good)
    s, gain = (torch.from_numpy(a).float() for a in (detector.s, detector.gain))
    reach = float(s[good].norm(dim=1).max())
    volume = _lumpy_volume(1.02 * reach, photons=400, gain=float(gain[good].sum()))
    draw = generator(2, "poses")
    poses = so3.haar(300, draw)
    fluence = torch.exp(0.3 * torch.randn(300, generator=draw))
    rate = torch.zeros(300, len(s))
    cut = slice_volume(volume.values, rotations.to_matrix(poses), s[good], volume.spacing)
    rate[:, good] = fluence[:, None] * gain[good] * cut + 0.05
    counts = torch.poisson(rate, generator=generator(1, "photons")).numpy().astype(np.int32)
    path = tmp_path_factory.mktemp("lumps") / "patterns.h5"
    _write_counts(path, counts, detector, Beam())
    return Lumps(
        patterns=path, volume=volume, poses=poses, fluence=fluence, s_max_per_angstrom=reach
    )


@pytest.fixture(scope="session")
def ball() -> Callable[..., Any]:
    """Return what makes a density of 31³ voxels: a ball that is denser on one side."""
    import torch

    from xraisim.core.types import Volume

    def make(radius_angstrom: float = 40.0) -> Volume:
        axis = 5.0 * (torch.arange(31) - 15)
        x, y, z = torch.meshgrid(axis, axis, axis, indexing="ij")
        inside = (x**2 + y**2 + z**2).sqrt()
        values = torch.sigmoid((radius_angstrom - inside) / 4) * (1 + x / 100)
        return Volume(values=values.float(), spacing=5.0, kind="density")

    return make


def _lumpy_volume(reach: float, photons: float, gain: float) -> Any:
    """Return an intensity with many lumps to ``reach`` in Å⁻¹, ``photons`` on pixels of a gain."""
    import torch

    from xraisim.core.fourier import coordinates
    from xraisim.core.random import generator
    from xraisim.core.types import Volume

    grid = 31
    centres = (grid / 3) * torch.randn(40, 3, generator=generator(5, "lumps"))
    voxel = coordinates(grid, 1.0)
    values = sum(torch.exp(-(voxel - c).square().sum(-1) / 8) for c in (*centres, *-centres))
    values = (values * photons / (float(values.mean()) * gain)).float()
    return Volume(values=values, spacing=reach / (grid // 2 - 1), kind="intensity")


def _write_counts(path: Path, counts: Any, detector: Any, beam: Any) -> None:
    """Write counts [N, pixels] of the whole detector as a pattern file."""

    from xraisim.core.types import Photons
    from xraisim.files.patterns import PatternWriter

    row, pixel = np.nonzero(counts)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(counts)))])
    photons = Photons(
        offsets=offsets.astype(np.int64), pixel=pixel.astype(np.int32), count=counts[row, pixel]
    )
    with PatternWriter(
        path, detector=detector, beam=beam, background=0.05, particle_diameter_angstrom=100.0,
        provenance={"structure": "lumps", "config": "", "versions": {}},
    ) as writer:  # fmt: skip
        writer.append(photons)


@pytest.fixture
def measured(request) -> Path:
    """50 measured patterns of a virus, 19 single hits; XRAI_MEASURED names another directory."""
    given = os.environ.get("XRAI_MEASURED")
    directory = Path(given) if given else request.getfixturevalue("shared") / "spi"
    path = directory / "pr772_50patterns_labelled_128.h5"
    if not path.exists():
        pytest.skip(f"the measured patterns {path.name} are not here")
    return path


def _write_lumps(path: Path, *, atoms: int, lumps: int, spread_angstrom: float, seed: int) -> Path:
    random = np.random.default_rng(seed)
    centres = random.normal(size=(lumps, 3)) * spread_angstrom
    places = centres[random.integers(0, lumps, atoms)] + random.normal(size=(atoms, 3)) * 6
    lines = [
        f"HETATM{i:5d}  U   URA A{i:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 10.00           U\n"
        for i, (x, y, z) in enumerate(places, 1)
    ]
    path.write_text("".join(lines) + "END\n")
    return path


@pytest.fixture(scope="session")
def write_lumps():
    """Return the function that writes a particle of uranium atoms in a few lumps as a PDB file."""
    return _write_lumps


@pytest.fixture
def torchrun(repository):
    """Run what Python is given in so many processes; return the finished one that began them."""

    def run(count, *arguments):
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node", str(count), "--no-python", sys.executable]
        given = [*(launcher if count > 1 else []), *map(str, arguments)]
        return subprocess.run(
            [sys.executable, *given],
            env=os.environ | {"PYTHONPATH": str(repository), "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    return run


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium without a window, for the tests of a file."""
    from tests.browser import chromium

    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver
