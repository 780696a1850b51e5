"""Every compiled loop beside its plain form; the README says how to run it."""

import importlib
from pathlib import Path

import pytest

from benchmarks.studies.kernels.cases import Case, load

CASES = load()
FORMS = [(case, form) for case in CASES.values() for form in ("fast", "reference")]


def _folder(package: str) -> Path:
    """Return where a package was imported from."""
    return Path(importlib.import_module(package).__path__[0]).resolve()


@pytest.mark.parametrize(
    ("case", "form"), FORMS, ids=[f"{case.name}-{form}" for case, form in FORMS]
)
def test_speed(benchmark, request, case: Case, form: str):
    """Round after round on one input; the first call, which may compile, is not counted."""
    if missing := case.missing():
        pytest.skip(f"there is no {', '.join(missing)}")
    pair = case.make(case.size)
    function = getattr(pair, form)
    if function is None:
        pytest.skip("there is no plain form")
    benchmark.group = case.name
    packages = {loop.partition(".")[0] for loop in case.loops}
    benchmark.extra_info["packages"] = [str(_folder(name)) for name in sorted(packages)]
    benchmark.pedantic(
        function,
        setup=lambda: (pair.arguments(), {}),
        rounds=request.config.getoption("benchmark_min_rounds"),
        warmup_rounds=1,
    )
