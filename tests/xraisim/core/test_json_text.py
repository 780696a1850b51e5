"""What is written as JSON is JSON: no NaN, no infinity, wherever a program writes some."""

import ast
import json
from pathlib import Path

import numpy as np

from xraisim.core.json_text import to_json

_OTHER_INTERPRETERS = ("skopi_driver", "measured_command", "cuphaser_driver")  # run without X-RAI


def test_figures_that_are_no_numbers_are_null():
    nan, infinite = float("nan"), float("inf")
    value = {"a": nan, "b": [1, (infinite, -infinite)], "c": {"d": np.float32("nan")}}
    assert json.loads(to_json(value)) == {"a": None, "b": [1, [None, None]], "c": {"d": None}}


def test_numbers_of_numpy_are_numbers():
    assert to_json({"a": np.int64(3), "b": np.float64(0.5), "c": True}) == (
        '{"a": 3, "b": 0.5, "c": true}'
    )


def test_no_module_writes_json_by_itself(repository: Path):
    for path in sorted(
        found
        for package in ("xraisim", "xrai", "baselines", "benchmarks")
        for found in (repository / package).rglob("*.py")
    ):
        if path.stem in ("json_text", *_OTHER_INTERPRETERS):
            continue
        calls = [
            node.func.attr
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
            and node.func.value.id == "json"
        ]
        assert not {"dump", "dumps"} & set(calls), path
