"""The public names of the four packages."""

import ast
import importlib
import subprocess
import sys

import pytest

import baselines
import benchmarks
import xrai
import xraisim

PACKAGES = (xraisim, xrai, baselines, benchmarks)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_every_name_is_there_and_documented_and_typed(package):
    with open(package.__file__) as file:
        tree = ast.parse(file.read())
    typed = {
        alias.asname
        for node in ast.walk(tree)
        if isinstance(node, ast.If)
        for line in node.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }
    assert typed == set(package.__all__)
    for name in package.__all__:
        assert getattr(package, name).__doc__, name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = package.nothing


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package.__name__)
def test_importing_a_package_loads_no_library(package):
    script = f"import sys, {package.__name__}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert not {"torch", "numba", "numpy", "h5py", "typer", "pandas"} & set(loaded.stdout.split())


def test_help_of_the_benchmark_loads_no_pandas():
    script = "import sys; sys.argv[1:] = ['--help']; from benchmarks.cli import main; main()"
    script = f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {script}"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert loaded.returncode == 0, loaded.stderr
    assert "Usage" in loaded.stdout
    assert not {"pandas", "torch"} & set(loaded.stdout.split())


def test_threads_wait_quietly_whatever_is_imported_first():
    for package in PACKAGES:
        module = importlib.import_module(package.__name__)
        script = f"import os, {module.__name__}; print(os.environ['OMP_WAIT_POLICY'])"
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert found.stdout.strip() == "PASSIVE"
