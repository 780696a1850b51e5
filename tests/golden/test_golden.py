"""What every command gives on tiny data is what is expected (docs/explanation/guarding.md)."""

import pytest
import torch

from tests.golden import store
from tests.golden.cases import CASES
from tests.threads import one_thread


@pytest.fixture(autouse=True, scope="module")
def torch_threads():
    before = torch.get_num_threads()
    one_thread()
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("name", sorted(CASES))
def test_results_are_what_they_were(name, tmp_path):
    moved = store.moved(name, store.make(name, tmp_path / "case"))
    assert not moved, "\n".join(moved)


def test_nothing_is_expected_of_cases_that_are_gone():
    assert {path.stem for path in store.EXPECTED.glob("*.json")} == set(CASES)
