"""Expected results: one JSON file per case, and the machine that made it."""

import json
from dataclasses import asdict
from pathlib import Path

from tests.golden import score_case  # noqa: F401  (registers its case)
from tests.golden.cases import CASES, Result
from tests.golden.quantity import Quantity, differences, machine

HERE = Path(__file__).parent
INPUTS, EXPECTED = HERE / "inputs", HERE / "expected"


def write(name: str, result: Result) -> None:
    """Keep the result of a case as what is expected from now on."""
    content = {
        "machine": machine(),
        "quantities": {key: asdict(value) for key, value in result.items()},
    }
    EXPECTED.mkdir(exist_ok=True)
    text = json.dumps(content, allow_nan=False, ensure_ascii=False)
    (EXPECTED / f"{name}.json").write_text(text.replace('"], "', '"],\n"') + "\n")


def read(name: str) -> tuple[Result, bool] | None:
    """Return what a case is expected to give, and whether this machine made it; None if nothing."""
    path = EXPECTED / f"{name}.json"
    if not path.exists():
        return None
    content = json.loads(path.read_text())
    result = {key: Quantity(**value) for key, value in content["quantities"].items()}
    return result, content["machine"] == machine()


def moved(name: str, result: Result) -> list[str]:
    """Return a line for everything in which a result differs from what is expected."""
    known = read(name)
    if known is None:
        return [f"{name}: nothing is expected yet; make it with: python -m tests.golden"]
    expected, here = known
    found = [f"{key}: is new" for key in result if key not in expected]
    found += [f"{key}: is gone" for key in expected if key not in result]
    for key in expected:
        if key in result:
            found += differences(key, expected[key], _through_json(result[key]), here)
    return [f"{name}, {line}" for line in found]


def _through_json(value: Quantity) -> Quantity:
    return Quantity(**json.loads(json.dumps(asdict(value), allow_nan=False)))


def make(name: str, directory: Path) -> Result:
    """Run a case in an empty directory."""
    directory.mkdir(parents=True)
    return CASES[name](directory, INPUTS)
