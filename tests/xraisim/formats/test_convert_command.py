import json

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from xraisim.commands.convert import convert_command
from xraisim.core.errors import ConfigError
from xraisim.files.patterns import PatternReader

app = typer.Typer()
app.command()(convert_command)


def run(*arguments: object):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def test_there_and_back_from_the_command_line(patterns, frames, tmp_path):
    there, back, settings = (tmp_path / n for n in ("there.emc", "back.h5", "settings.toml"))
    result = run(patterns, there, "--json")
    assert result.exit_code == 0, result.output
    done = json.loads(result.stdout)
    assert (done["target_format"], done["photons"]) == ("emc", frames.sum())
    settings.write_text("[beam]\nphoton_energy_ev = 3000.0\n[detector]\npixel_size_mm = 9.0\n")
    flags = ("--config", settings, "--detector", done["detector_path"], "--diameter", 80)
    result = run(there, back, *flags)
    assert result.exit_code == 0, result.output
    assert "masked_photons" in result.stdout
    with PatternReader(back) as reader:
        assert reader.info["particle_diameter_angstrom"] == 80.0
        assert reader.info["provenance"]["source"] == "there.emc"
        assert len(reader.info["provenance"]["source_sha256"]) == 64


def test_a_preset_serves_where_it_fits(tmp_path):
    np.save(tmp_path / "stack.npy", np.ones((2, 128, 128), np.uint8))
    flags = ("--instrument", "xrai2025", "--diameter", 200)
    result = run(tmp_path / "stack.npy", tmp_path / "out.h5", *flags)
    assert result.exit_code == 0, result.output
    with PatternReader(tmp_path / "out.h5") as reader:
        assert reader.info["photon_energy_ev"] == 4600.0
        assert reader.detector_shape == (128, 128)


def test_a_wrong_key_is_named(patterns, tmp_path):
    (tmp_path / "settings.toml").write_text("diameter = 3.0\n")
    result = run(patterns, tmp_path / "x.emc", "--config", tmp_path / "settings.toml")
    assert isinstance(result.exception, ConfigError)
    with pytest.raises(ConfigError, match="unknown configuration key diameter"):
        raise result.exception
