"""The examples of the docs run as they are."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "docs/examples").glob("*.py"))
# What each says at its end.
SAID = {
    "from_pdb_to_density": "density in",
    "looking_into_a_run": "nats over its mate",
    "looking_into_records": "quick, best: ",
    "my_own_data": "out to",
    "my_own_instrument": "photons follow the fluence: correlation 0.9",
    "my_own_method": "the two volumes agree by icc_0.5",
}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path, tmp_path):
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", path, tmp_path], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert SAID[path.stem] in done.stdout
