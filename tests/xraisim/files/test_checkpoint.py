"""What an iterated computation goes on from: whole, recognised, and refused where it is no use."""

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from xraisim.core.errors import FormatError, UserError
from xraisim.files import checkpoint

FORM = checkpoint.Form(
    name="x-rai test checkpoint", version=3, oldest=2, missing=": nothing", advice="start afresh"
)


@dataclass
class Part:
    values: Tensor


@dataclass
class State:
    key: str
    parts: list[Part] = field(default_factory=list)
    table: dict[str, Tensor] = field(default_factory=dict)
    number: float | None = None


def build(content):
    return State(**content | {"parts": [Part(**part) for part in content["parts"]]})


@pytest.fixture
def written(tmp_path):
    state = State(key="k", parts=[Part(torch.arange(3.0))], table={"a": torch.ones(2)}, number=0.5)
    checkpoint.write(state, tmp_path, FORM)
    return tmp_path


def renamed(directory, form):
    path = directory / checkpoint.NAME
    content = torch.load(path, weights_only=True)
    torch.save(content | {"format": form}, path)


def test_everything_comes_back_from_one_file(written):
    found = checkpoint.read(written, FORM, build)
    assert torch.equal(found.parts[0].values, torch.arange(3.0))
    assert torch.equal(found.table["a"], torch.ones(2))
    assert (found.key, found.number) == ("k", 0.5)
    assert [path.name for path in written.iterdir()] == [checkpoint.NAME]


def test_the_version_before_is_read(written):
    renamed(written, "x-rai test checkpoint 2")
    assert checkpoint.read(written, FORM, build).key == "k"


@pytest.mark.parametrize("version", [1, 4])
def test_versions_long_past_and_to_come_are_refused(written, version):
    renamed(written, f"x-rai test checkpoint {version}")
    with pytest.raises(FormatError, match=rf"checkpoint {version}; this program reads .* 2 to 3"):
        checkpoint.read(written, FORM, build)


def test_that_of_another_method_is_refused(written):
    renamed(written, "x-rai other checkpoint 3")
    with pytest.raises(FormatError, match="'x-rai other checkpoint 3'; expected an x-rai test"):
        checkpoint.read(written, FORM, build)


def test_none_and_half_of_one_are_refused(tmp_path, written):
    with pytest.raises(FormatError, match=r"holds no checkpoint\.pt: nothing"):
        checkpoint.read(tmp_path / "elsewhere", FORM, build)
    path = written / checkpoint.NAME
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(FormatError, match=r"not a readable checkpoint .*; start afresh"):
        checkpoint.read(written, FORM, build)


def test_that_of_other_settings_or_patterns_is_refused(tmp_path):
    checkpoint.require_key("k", "k", tmp_path)
    with pytest.raises(UserError, match="other patterns or settings"):
        checkpoint.require_key("k", "other", tmp_path)
