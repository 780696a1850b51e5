"""Dragonfly's files written and read, and the program run, on a stand-in for the program."""

import json
from configparser import ConfigParser

import h5py
import numpy as np
import pytest
import torch
from scipy.special import gammaln

from baselines import cli
from baselines.external.dragonfly import DragonflyConfig, NotInstalledError, reconstruct
from baselines.external.dragonfly.program import find_program, read_log, why_not_installed
from baselines.external.dragonfly.read import read_iteration
from baselines.external.dragonfly.write import write_input
from baselines.panels import METHODS
from xraisim.core.errors import ConfigError, FormatError, SamplingError, UserError
from xraisim.core.units import CLASSICAL_ELECTRON_RADIUS_UM
from xraisim.files.patterns import PatternReader
from xraisim.files.volumes import read_attributes, read_volume
from xraisim.formats.counts import dense
from xraisim.formats.dragonfly_detector import read_detector
from xraisim.formats.emc import open_emc
from xraisim.report.page import write_report

CONFIG = DragonflyConfig(num_div=2, iterations=4, threads=1, seed=3)


@pytest.fixture
def patterns(write_patterns):
    return write_patterns()


def test_the_input_is_the_usable_pixels_in_the_detectors_order(patterns, frames, tmp_path):
    given = write_input(patterns, tmp_path, CONFIG)
    detector = read_detector(tmp_path / "detector.h5")
    with PatternReader(patterns) as reader:
        kept = np.sort(reader.pixels.index.numpy())
        order = np.argsort(reader.pixels.index.numpy())
        s, gain = reader.pixels.s.numpy()[order], reader.pixels.gain.numpy()[order]
        info = reader.info
    with open_emc(tmp_path / "photons.emc") as source:
        found = dense(source.read(0, source.patterns), source.known.pixels)
    assert len(kept) < frames.shape[1]
    np.testing.assert_array_equal(found, frames[:, kept])
    np.testing.assert_allclose(detector.q * given.spacing, s, atol=1e-7)
    assert given.spacing == pytest.approx(1 / (CONFIG.oversampling * 60.0))
    wavelength = info["wavelength_angstrom"]
    assert given.spacing == pytest.approx(1 / (wavelength * detector.ewald_rad))
    # V in electrons² at which a pixel expects as many photons as Dragonfly's unit intensity gives
    expected = gain * given.electrons2
    np.testing.assert_allclose(expected, detector.corr / detector.corr.mean(), rtol=1e-5)
    assert detector.background is None
    # the rim is merged, but neither orients nor counts
    radius = np.linalg.norm(detector.q, axis=1)
    orients = radius <= radius.max() - 1.5
    assert 0 < (~orients).sum() < len(orients) / 2
    np.testing.assert_array_equal(detector.mask, np.where(orients, 0, 1))
    used = frames[:, kept[orients]]
    np.testing.assert_array_equal(given.photons, used.sum(1))
    np.testing.assert_allclose(given.log_factorials, gammaln(used + 1.0).sum(1))


def test_the_volume_holds_every_pixel_and_the_start_has_the_mean_it_should(patterns, tmp_path):
    given = write_input(patterns, tmp_path, CONFIG)
    detector = read_detector(tmp_path / "detector.h5")
    reach = np.linalg.norm(detector.q, axis=1).max()
    assert reach + 1 <= given.grid // 2 <= reach + 3
    with h5py.File(tmp_path / "start.h5") as file:
        start = file["intens"][()]
    assert start.shape == (1, given.grid, given.grid, given.grid)
    mean = given.photons.mean() / (detector.mask == 0).sum()
    assert start.mean() == pytest.approx(mean, rel=0.05)
    write_input(patterns, tmp_path, DragonflyConfig(num_div=2, seed=4))
    with h5py.File(tmp_path / "start.h5") as file:
        assert not np.array_equal(file["intens"][()], start)


def test_a_cut_in_resolution_leaves_pixels_out(patterns, frames, tmp_path):
    config = DragonflyConfig(d_min_angstrom=20.0)
    given = write_input(patterns, tmp_path, config)
    with PatternReader(patterns) as reader:
        radius = reader.pixels.radius.numpy()
        inside = reader.pixels.index.numpy()[radius <= 1 / 20]
    assert 0 < len(inside) < len(radius)
    with open_emc(tmp_path / "photons.emc") as source:
        totals = source.read(0, source.patterns).totals()
    np.testing.assert_array_equal(totals, frames[:, inside].sum(1))
    assert given.s_range == pytest.approx((radius[0], radius[radius <= 1 / 20][-1]))
    with pytest.raises(SamplingError, match=r"no usable pixel within d_min_angstrom = 500"):
        write_input(patterns, tmp_path, DragonflyConfig(d_min_angstrom=500.0))


@pytest.mark.parametrize("background", [0.0, 0.125])
def test_the_configuration_says_what_was_written(write_patterns, tmp_path, background):
    config = DragonflyConfig(num_div=3, need_scaling=False, beta_jump=1.5, beta_period=4)
    write_input(write_patterns(background), tmp_path, config)
    parser = ConfigParser()
    parser.read(tmp_path / "config.ini")
    emc = dict(parser["emc"])
    assert (emc["num_div"], emc["need_scaling"], emc["beta_schedule"]) == ("3", "0", "1.5 4")
    assert emc.get("background_file") == ("detector.h5" if background else None)
    if background:
        assert (read_detector(tmp_path / "detector.h5").background == background).all()


def test_a_run_leaves_what_our_reconstructions_leave(patterns, install, tmp_path):
    install()
    done = reconstruct(patterns, tmp_path / "run", CONFIG)
    assert done.patterns == 11
    wanted = {"iterations": 4, "complete": True, "rotations": 420}
    assert {name: done.figures[name] for name in wanted} == wanted
    given = write_input(patterns, tmp_path, CONFIG)  # the same once more
    volume = read_volume(tmp_path / "run/intensity.h5")
    with h5py.File(tmp_path / "start.h5") as file:
        start = torch.from_numpy(file["intens"][0])
    torch.testing.assert_close(volume.values, (4 * given.electrons2 * start).float())
    assert volume.spacing == given.spacing
    assert read_volume(tmp_path / "run/intensity.mrc").grid == volume.grid
    attributes = read_attributes(tmp_path / "run/intensity.h5")
    assert attributes["s_max_per_angstrom"] == pytest.approx(given.s_range[1])
    unit = 1 / (1e14 / (np.pi * 0.5**2) * CLASSICAL_ELECTRON_RADIUS_UM**2)
    assert given.electrons2 * read_detector(tmp_path / "detector.h5").corr.mean() == pytest.approx(
        unit, rel=1e-5
    )
    assert b"GCOL" not in (tmp_path / "run/poses.h5").read_bytes()  # no text of variable length
    with h5py.File(tmp_path / "run/poses.h5") as poses:
        assert poses["orientations"].shape == (11, 4)
        norms = np.linalg.norm(poses["orientations"][()], axis=1)
        np.testing.assert_allclose(norms, 1, rtol=1e-6)
        fluence = np.linspace(0.5, 1.5, 11)
        np.testing.assert_allclose(poses["fluence"], fluence, rtol=1e-6)
        # Σ log k! and K log φ, which Dragonfly's likelihood lacks, are back in it
        counted = given.log_factorials + given.photons * np.log(fluence)
        likelihood = counted - np.arange(11)
        np.testing.assert_allclose(poses["loglik"], likelihood, rtol=1e-5)
    lines = [json.loads(one) for one in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [1, 2, 3, 4]
    assert [line["rms_change"] for line in lines] == [0.1, None, 0.1, 0.1]
    assert lines[-1]["log_likelihood"] == pytest.approx(likelihood.mean())
    assert lines[-1]["seconds"] == 0.5
    figures = json.loads((tmp_path / "run/result.json").read_text())["figures"]
    assert figures["log_likelihood_per_photon"] == pytest.approx(
        likelihood.sum() / given.photons.sum()
    )
    kept = sorted(path.name for path in (tmp_path / "run/dragonfly/data").iterdir())
    assert kept == ["output_003.h5", "output_004.h5"]
    write_report(tmp_path / "run", tmp_path / "page.html", METHODS, patterns=patterns)
    page = (tmp_path / "page.html").read_text()
    for title in ("Progress", "Intensity", "View directions", "Worst and best patterns"):
        assert f"<h2>{title}</h2>" in page


def test_the_time_limit_takes_the_last_whole_iteration(patterns, install, tmp_path):
    install(after="time.sleep(600 if iteration == 2 else 0)")
    config = DragonflyConfig(num_div=2, iterations=9, time_limit_s=3.0)
    done = reconstruct(patterns, tmp_path / "run", config)
    assert (done.figures["iterations"], done.figures["complete"]) == (2, False)
    assert "time limit" in done.warnings[0]
    install(before="time.sleep(600)")
    config = DragonflyConfig(num_div=2, time_limit_s=0.5)
    with pytest.raises(UserError, match=r"made no iteration within time_limit_s = 0 s; raise it"):
        reconstruct(patterns, tmp_path / "run", config)


def test_a_failing_program_shows_what_it_printed(patterns, install, tmp_path):
    install(before="sys.exit('no such voxel')")
    with pytest.raises(UserError, match=r"exit code 1; it printed\s+a line for.*\s+no such voxel"):
        reconstruct(patterns, tmp_path / "run", CONFIG)


def test_a_half_written_line_of_the_log_waits(tmp_path):
    log = tmp_path / "EMC.log"
    assert read_log(log) == []
    head = "Cryptotomography\n\nIter\ttime\trms\n"
    log.write_text(head + "1\t2.5\t1e-1\t3\t-5\t420    \t0.25\n2\t2.5\t1e-1\t3\t-5\t420    \t0.2")
    assert [(line.iteration, line.beta) for line in read_log(log)] == [(1, 0.25)]
    log.write_text(log.read_text() + "5\n")
    assert read_log(log)[1].beta == 0.25


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file.pop("orientations"), "a readable output of Dragonfly .*no orientations"),
        (lambda file: file["intens"].write_direct(np.full(file["intens"].shape, np.nan)),
         "voxels that are not numbers: Dragonfly has diverged"),
        (lambda file: file["orientations"].write_direct(np.full(11, -1)),
         "11 patterns without an orientation"),
    ],
)  # fmt: skip
def test_output_of_no_use_is_named(patterns, install, tmp_path, change, message):
    install()
    reconstruct(patterns, tmp_path / "run", CONFIG)
    folder = tmp_path / "run/dragonfly"
    with h5py.File(folder / "data/output_004.h5", "r+") as file:
        change(file)
    with pytest.raises(FormatError, match=message):
        read_iteration(folder, 4, write_input(patterns, tmp_path, CONFIG))


@pytest.mark.usefixtures("nowhere")
def test_without_the_program_the_reason_is_told(patterns, tmp_path, monkeypatch):
    assert why_not_installed().startswith("no dragonfly.emc on PATH; install dragonfly-spi")
    with pytest.raises(NotInstalledError, match=r"set XRAI_DRAGONFLY_BIN to its bin directory"):
        reconstruct(patterns, tmp_path / "run", CONFIG)
    assert not (tmp_path / "run").exists()
    monkeypatch.setenv("XRAI_DRAGONFLY_BIN", str(tmp_path / "empty"))
    with pytest.raises(NotInstalledError, match=r"empty \(XRAI_DRAGONFLY_BIN\) has no dragonfly"):
        find_program()
    with pytest.raises(NotInstalledError, match=r"there \(setting programs\) has no dragonfly"):
        find_program(str(tmp_path / "there"))


def test_the_setting_wins_over_the_environment(install, monkeypatch, tmp_path):
    directory = install()
    monkeypatch.setenv("XRAI_DRAGONFLY_BIN", str(tmp_path))
    assert find_program(str(directory)) == directory / "dragonfly.emc"
    monkeypatch.delenv("XRAI_DRAGONFLY_BIN")
    monkeypatch.setenv("PATH", str(directory))
    assert find_program() == directory / "dragonfly.emc"
    assert why_not_installed() == ""


@pytest.mark.parametrize(
    ("values", "message"),
    [({"num_div": 0}, "num_div is 0"), ({"beta_jump": 0.5}, "beta_jump"), ({"time_limit_s": 0.0},
     "time_limit_s"), ({"oversampling": 1.0}, "oversampling")],
)  # fmt: skip
def test_bad_settings_are_named(values, message):
    with pytest.raises(ConfigError, match=message):
        DragonflyConfig(**values)


def test_its_grids_are_counted():
    assert [DragonflyConfig(num_div=n).rotations for n in (4, 6, 10)] == [3240, 10_860, 50_100]


def test_the_command(patterns, install, tmp_path, monkeypatch, capsys):
    install()
    arguments = [patterns, "--out", tmp_path / "run", "--num-div", 2, "--iterations", 3, "--json"]
    monkeypatch.setattr("sys.argv", ["xrai-baseline", "dragonfly", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code
    shown = json.loads(capsys.readouterr().out)
    assert (shown["figures"]["iterations"], shown["figures"]["rotations"]) == (3, 420)
    assert "num_div = 2" in (tmp_path / "run/config.toml").read_text()
