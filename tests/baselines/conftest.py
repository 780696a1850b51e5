"""Settings for the tests of the baselines, and their command."""

from collections.abc import Callable, Iterator

import pytest
import torch

from baselines import cli


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> Iterator[None]:
    """Run torch on one thread: on small cubes, threads that wait for a busy core cost far more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return what calls ``xrai-baseline`` with arguments, and returns its exit status."""

    def run(*arguments: object) -> int:
        monkeypatch.setattr("sys.argv", ["xrai-baseline", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        return stopped.value.code

    return run
