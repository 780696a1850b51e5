import io
import json
import re
from dataclasses import replace

import mrcfile
import numpy as np
import pytest
import torch

from baselines.commands import phase as command
from baselines.phasing import run
from xraisim.core.fourier import radius, reciprocal, to_structure_factors
from xraisim.core.types import Volume
from xraisim.files.volumes import read_volume, write_volume

GRID, VOXEL = 25, 6.0
QUICK = """
starts = 2
refined = 2
[coarse]
schedule = "8 raar, 4 er"
support_every = 5
blur_voxels = 2.0
[fine]
schedule = "4 er"
support_every = 5
blur_voxels = 1.0
"""


@pytest.fixture
def intensity(tmp_path):
    lumps = torch.rand(GRID, GRID, GRID, generator=torch.Generator().manual_seed(1))
    factors = to_structure_factors(lumps * (radius(GRID, VOXEL) < 30), VOXEL)
    spacing = reciprocal(GRID, VOXEL)
    volume = Volume(values=factors.abs() ** 2, spacing=spacing, kind="intensity")
    path = tmp_path / "intensity.h5"
    write_volume(path, volume, {"particle_diameter_angstrom": 62.0})
    return path


@pytest.fixture
def quick(tmp_path):
    path = tmp_path / "quick.toml"
    path.write_text(QUICK)
    return path


def test_a_run_leaves_density_prtf_settings_and_result(intensity, quick, tmp_path, invoke, capfd):
    out = tmp_path / "phased"
    assert invoke("phase", intensity, "--out", out, "--config", quick, "--json") == 0
    assert {p.name for p in out.iterdir()} == {
        "density.h5", "density.mrc", "prtf.csv", "phasing.png", "config.toml", "result.json",
    }  # fmt: skip
    density = read_volume(out / "density.h5")
    assert density.kind == "density"
    torch.testing.assert_close(read_volume(out / "density.mrc").values, density.values)
    with mrcfile.open(out / "density.mrc") as file:
        assert mrcfile.validate(out / "density.mrc", print_file=io.StringIO())
        assert float(file.voxel_size.x) == pytest.approx(density.spacing)
        assert float(file.header.origin.z) == pytest.approx(-(GRID // 2) * density.spacing)
    assert (out / "phasing.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    written = json.loads((out / "result.json").read_text())
    assert written["figures"]["diameter_angstrom"] == 62.0  # from the attributes of the volume
    assert written["resolution"]["rule"] == "prtf_1/e"
    assert json.loads(capfd.readouterr().out) == written

    assert invoke("report", out) == 0
    titles = re.findall("<h2>(.*?)</h2>", (out / "report.html").read_text())
    shown = ["Density", "Reproducibility of the phases", "Thresholds of the support"]
    assert titles == ["Surfaces", *shown, "Figures", "Configuration"]

    again = tmp_path / "again"
    assert invoke("phase", intensity, "--out", again, "--config", out / "config.toml") == 0
    assert torch.equal(read_volume(again / "density.h5").values, density.values)


def test_a_mask_frees_what_it_covers_and_one_of_another_size_is_refused(
    intensity, quick, tmp_path, invoke, capfd
):
    spoilt = read_volume(intensity)
    weight = torch.ones(GRID, GRID, GRID)
    weight[:, 11:14, 11:14] = 0.0
    spoilt.values[weight == 0] = 1e12
    write_volume(intensity, spoilt, {"particle_diameter_angstrom": 62.0})
    mask, out = tmp_path / "mask.h5", tmp_path / "phased"
    write_volume(mask, Volume(values=weight, spacing=spoilt.spacing, kind="intensity"))
    asked = ("phase", intensity, "--out", out, "--config", quick, "--mask", mask, "--json")
    assert invoke(*asked) == 0
    masked = json.loads(capfd.readouterr().out)["figures"]["r_factors"][0]
    assert masked < 0.3

    small = Volume(values=torch.ones(9, 9, 9), spacing=spoilt.spacing, kind="intensity")
    write_volume(mask, small)
    assert invoke(*asked, "--force") == 2
    assert "one weight per voxel" in " ".join(capfd.readouterr().err.split())


def _spoil(case, intensity, quick):
    """Return arguments that cannot work and the words the message must hold."""
    if case == "missing":
        return [intensity.with_name("nowhere.h5")], "nowhere.h5"
    if case == "truncated":
        whole = intensity.read_bytes()
        intensity.write_bytes(whole[: len(whole) // 2])
        return [intensity], "truncated"
    if case == "density":
        density = read_volume(intensity)
        write_volume(intensity, Volume(values=density.values, spacing=6.0, kind="density"))
        return [intensity], "starts from an intensity"
    if case == "key":
        quick.write_text("start = 3")
        return [intensity], "did you mean starts"
    if case == "device":
        return [intensity, "--device", "tpu9"], "tpu9"
    if case == "coarse":
        return [intensity, "--diameter", "120"], "1/(2D)"
    return [intensity, "--resolution", "-3"], "positive"


@pytest.mark.parametrize(
    "case", ["missing", "truncated", "density", "key", "device", "coarse", "resolution"]
)
def test_bad_input_ends_with_one_message_and_leaves_nothing(
    case, intensity, quick, tmp_path, invoke, capfd
):
    arguments, words = _spoil(case, intensity, quick)
    out = tmp_path / "phased"
    assert invoke("phase", *arguments, "--out", out, "--config", quick) == 2
    message = capfd.readouterr().err
    assert words in " ".join(message.split())
    assert "Traceback" not in message
    assert not out.exists()


def test_a_foreign_intensity_is_phased_once_its_kind_is_stated(
    intensity, quick, tmp_path, invoke, capfd
):
    known = read_volume(intensity)
    plain = tmp_path / "merged.npy"
    np.save(plain, known.values.numpy())
    foreign = tmp_path / "merged.map"
    with mrcfile.new(foreign) as file:
        file.set_data(known.values.numpy().transpose(2, 1, 0).copy())
        file.voxel_size = known.spacing
    common = ("--out", tmp_path / "out", "--config", quick, "--diameter", "62", "--force")
    assert invoke("phase", foreign, *common) == 2
    assert "--kind intensity" in " ".join(capfd.readouterr().err.split())
    assert invoke("phase", foreign, *common, "--kind", "intensity") == 0
    found = read_volume(tmp_path / "out" / "density.h5").values
    stated = ("--kind", "intensity", "--spacing", known.spacing)
    assert invoke("phase", plain, *common, *stated) == 0
    again = read_volume(tmp_path / "out" / "density.h5").values
    # A map holds its voxel size in single precision.
    assert torch.corrcoef(torch.stack([again.flatten(), found.flatten()]))[0, 1] > 0.99


def test_an_even_intensity_in_a_stated_support_is_phased(intensity, quick, tmp_path, invoke, capfd):
    known = read_volume(intensity)
    even = torch.nn.functional.pad(known.values, (1, 0) * 3)
    plain, mask = tmp_path / "merged.npy", tmp_path / "mask.npy"
    np.save(plain, even.numpy())
    np.save(mask, (radius(GRID, VOXEL) < 33).numpy())
    asked = ("phase", plain, "--kind", "intensity", "--spacing", known.spacing, "--config", quick)
    assert invoke(*asked, "--out", tmp_path / "out", "--support", mask, "--json") == 0
    written = json.loads(capfd.readouterr().out)["figures"]
    assert written["thresholds_tried"] == []
    assert written["support_angstrom3"] == pytest.approx(4 / 3 * np.pi * 33**3, rel=0.25)
    np.save(mask, np.zeros((GRID,) * 3))
    assert invoke(*asked, "--out", tmp_path / "none", "--support", mask) == 2
    assert "support is empty" in " ".join(capfd.readouterr().err.split())


def test_negative_intensities_are_named_and_a_volume_out_of_centre_refused(
    intensity, quick, tmp_path, invoke, capfd
):
    known = read_volume(intensity)
    known.values[2, 3, 4] = known.values[-3, -4, -5] = -1.0
    write_volume(intensity, known, {"particle_diameter_angstrom": 62.0})
    asked = ("phase", intensity, "--out", tmp_path / "out", "--config", quick)
    assert invoke(*asked) == 0
    assert "2 of 15,625 intensities are below zero" in " ".join(capfd.readouterr().err.split())
    rolled = replace(known, values=torch.fft.ifftshift(known.values))
    write_volume(intensity, rolled, {"particle_diameter_angstrom": 62.0})
    assert invoke(*asked) == 2
    assert "is there already" in capfd.readouterr().err
    assert invoke(*asked, "--force") == 2
    assert "symmetric about voxel (0, 0, 0)" in " ".join(capfd.readouterr().err.split())


def test_a_doubtful_result_is_warned_of_and_says_so_in_its_result(
    intensity, quick, tmp_path, invoke, capfd, monkeypatch
):
    def doubtful(*arguments, **named):
        return replace(run.phase(*arguments, **named), doubts=("the density does not fit",))

    monkeypatch.setattr(command, "run_phasing", doubtful)
    out = tmp_path / "out"
    assert invoke("phase", intensity, "--out", out, "--config", quick) == 0
    said = " ".join(capfd.readouterr().err.split())
    assert "warning: the density does not fit" in said
    assert json.loads((out / "result.json").read_text())["warnings"] == ["the density does not fit"]
