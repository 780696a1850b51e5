"""A work directory of every kind of run, and a browser that is really clicked."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from selenium import webdriver

from benchmarks import record, report
from benchmarks.cubes import Cubes
from benchmarks.record import Record, Value
from benchmarks.slices import Slices

MakeRecord = Callable[..., Record]


def make_slices() -> Slices:
    planes = np.random.default_rng(1).random((4, 15, 15), dtype=np.float32)
    return Slices(
        intensity=planes[0],
        intensity_truth=planes[1],
        reach_per_angstrom=0.05,
        density=planes[2],
        density_truth=planes[3],
        reach_angstrom=150.0,
    )


def make_cubes() -> Cubes:
    """Two lopsided lumps, the found one fuzzier."""
    x, y, z = np.meshgrid(*[np.linspace(-1, 1, 15)] * 3, indexing="ij")
    far = (1.5 * x) ** 2 + (2 * y - x) ** 2 + (2 * z) ** 2
    lumps = [np.exp(-sharp * far).astype(np.float32) for sharp in (3.0, 4.0)]
    return Cubes(density=lumps[0], density_truth=lumps[1], reach_angstrom=150.0)


def beam(photons: float) -> dict[str, object]:
    return {"patterns": 8000, "beam": {"photons_per_pulse": photons, "focus": "gauss"}}


@pytest.fixture
def slices() -> Slices:
    return make_slices()


@pytest.fixture
def cubes() -> Cubes:
    return make_cubes()


def fill(directory: Path, make_record: MakeRecord) -> Path:
    """Write three tasks: runs with views and without, a failed one, a self-reported one."""

    def put(name: str, **changes: object) -> None:
        task = str(changes.get("task", "quick"))
        photons = {"quick": 1e12, "dim": 1e11}.get(task)
        config = {"name": task, "summary": "A test of <tables>.", "xrai": {"heads": 8}}
        simulate = {"simulate": beam(photons)} if photons else {}
        made = make_record(**{"config": config | simulate} | changes)
        record.write(directory / task / name / "record.json", made)

    put("xrai-0")
    put("xrai-1", seed=1, fsc=23.0, warnings=("the encoder has <collapsed>",))
    put("oracle-0", method="oracle", fsc=21.0)
    put("emc-0", method="emc", error="ran <out>", curves=(), metrics={})
    put("theirs-0", method="theirs", origin="self-reported", fsc=22.0, notes="by hand")
    put("xrai-0", task="dim", fsc=40.0, photons_per_pattern=500.0)
    put("oracle-0", task="dim", method="oracle", fsc=30.0, photons_per_pattern=500.0)
    edge = {"fsc_truth_0.5": Value(value=9.0, reached_edge=True)}
    put("xrai-0", task="other", metrics=edge)
    for name in ("xrai-0", "oracle-0"):
        make_slices().save(directory / "quick" / name / "slices.npz")
        make_cubes().save(directory / "quick" / name / "cubes.npz")
    return directory


@pytest.fixture
def work(make_record: MakeRecord, tmp_path: Path) -> Path:
    """A work directory of three tasks (:func:`fill`)."""
    return fill(tmp_path, make_record)


@pytest.fixture(scope="module")
def page(
    browser: webdriver.Chrome, make_record: MakeRecord, tmp_path_factory: pytest.TempPathFactory
) -> webdriver.Chrome:
    """The browser with the page of such a directory in it, opened once."""
    directory = fill(tmp_path_factory.mktemp("shown"), make_record)
    report.write(directory / "report.html", report.load(directory))
    browser.get((directory / "report.html").as_uri())
    return browser
