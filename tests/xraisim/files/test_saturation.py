"""Pixels that saturate go out of use as a whole; the file's photons stay."""

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

from xraisim.checks.validate import failed, validate
from xraisim.cli import app
from xraisim.core.errors import ConfigError, UserError
from xraisim.files.patterns import PatternReader
from xraisim.files.saturation import mask_saturated
from xraisim.files.shards import Shard
from xraisim.instrument.detector import MaskReason

from .conftest import as_dicts, as_photons, writer

# Pixel 5 reaches 700 photons in two of four patterns, pixel 9 in one; 700 is stored in parts.
PATTERNS = [{5: 700, 8: 3}, {5: 700, 9: 800}, {8: 699}, {1: 2}]


@pytest.fixture
def path(tmp_path):
    with writer(tmp_path / "all.h5") as file:
        file.append(as_photons(PATTERNS))
    return tmp_path / "all.h5"


def masked_in(path):
    with h5py.File(path) as file:
        return np.flatnonzero(file["detector/mask"][()] & MaskReason.SATURATED).tolist()


def test_pixels_at_the_level_in_enough_patterns_are_masked(path):
    found = mask_saturated(path, 700, share=0.5)
    assert masked_in(path) == [5]
    assert (found.pixels, found.patterns) == (1, 0.5)
    total = 700 + 3 + 700 + 800 + 699 + 2
    assert found.photons == pytest.approx(1400 / total)
    with PatternReader(path) as reader:
        assert len(reader.pixels) == found.usable
        assert 5 not in reader.pixels.index
        assert as_dicts(reader.read_raw(0, 4)) == PATTERNS, "nothing is lost"
        index = reader.pixels.index.numpy()
        block = reader.read(0, 4)
        assert sorted(index[block.pixel[block.offsets[0] : block.offsets[1]]].tolist()) == [8]
    assert not failed(validate(path))


def test_every_pixel_at_the_level_goes_by_default(path):
    assert mask_saturated(path, 700).pixels == 2
    assert masked_in(path) == [5, 9]
    assert mask_saturated(path, 700).pixels == 0, "those out of use are not looked at again"


def test_a_level_that_nothing_reaches_changes_nothing(path):
    before = path.read_bytes()
    assert mask_saturated(path, 801).pixels == 0
    assert path.read_bytes() == before


def test_shards_get_one_mask(tmp_path):
    for k, part in enumerate((PATTERNS[:2], PATTERNS[2:]), 1):
        with writer(Shard(k, 2).path(tmp_path / "all.h5")) as file:
            file.append(as_photons(part))
    mask_saturated(tmp_path / "all.h5", 700)
    assert masked_in(tmp_path / "all.shard-2-of-2.h5") == [5, 9]
    with PatternReader(tmp_path / "all.h5") as reader:
        assert reader.n_patterns == 4


def test_bad_settings_are_refused_and_nothing_is_masked(path):
    for level, share in ((0, 0.1), (10, 0.0), (10, 1.5)):
        with pytest.raises(ConfigError, match="expected photons from 1"):
            mask_saturated(path, level, share)
    with PatternReader(path) as reader:
        pixels = reader.pixels.index.tolist()
    bright = path.with_name("bright.h5")
    with writer(bright) as file:
        file.append(as_photons([dict.fromkeys(pixels, 9)]))
    with pytest.raises(UserError, match="every usable pixel"):
        mask_saturated(bright, 9)
    assert masked_in(bright) == []


def test_the_command_says_what_it_masked(path):
    result = CliRunner().invoke(app, ["mask", str(path), "--saturation", "700", "--json"])
    assert result.exit_code == 0, result.output
    assert '"pixels": 2' in result.output
