"""A resumed run finds its patterns again, whole or still being written."""

from pathlib import Path

import pytest

from xrai.sources.config import SourceConfig
from xrai.sources.follow import FollowedFiles
from xrai.sources.reopen import name_of, path_of, reopen
from xraisim.core.errors import UserError
from xraisim.files.atomic import partial_path


def test_a_file_is_named_by_its_whole_path(patterns, monkeypatch):
    monkeypatch.chdir(patterns.parent)
    assert name_of(patterns.name) == str(patterns)
    assert reopen(str(patterns), SourceConfig()) == patterns
    assert path_of(str(patterns)) == patterns


def test_a_file_that_is_not_whole_is_followed(patterns, tmp_path):
    growing = tmp_path / "growing.h5"
    partial_path(growing).write_bytes(patterns.read_bytes())
    found = reopen(str(growing), SourceConfig(idle_timeout_s=0.2, poll_s=0.05))
    assert isinstance(found, FollowedFiles)
    assert name_of(found) == str(growing)
    found.close()


def test_a_missing_file_is_not_waited_for(tmp_path):
    assert reopen(str(tmp_path / "no.h5"), SourceConfig()) == tmp_path / "no.h5"


def test_pushed_patterns_are_in_no_file():
    with pytest.raises(UserError, match="give a file"):
        path_of("tcp://127.0.0.1:5555")
    assert path_of("/data/patterns.h5") == Path("/data/patterns.h5")
