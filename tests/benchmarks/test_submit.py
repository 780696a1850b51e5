"""The page for submitting, as a stranger follows it; and what is done with what was handed in."""

import dataclasses
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import cli, data, leaderboard, lifecycle, record
from benchmarks import task as tasks
from benchmarks import verify as verifying
from benchmarks.artefacts import require_alone
from benchmarks.description import Description
from benchmarks.record import CLOSED, Record, Value
from benchmarks.truth import true_particle
from benchmarks.verify import verify
from xraisim.core import config
from xraisim.core.errors import ConfigError, FormatError
from xraisim.files.truth import read_truth
from xraisim.scattering.friedel import scattering_grid

GRID, SPACING = 27, 0.0017
TASK = """
version = 1
summary = "A cloud of carbon, as bright as a ribosome, at low resolution."

[simulate]
structure = "STRUCTURE"
patterns = 60

[simulate.beam]
photons_per_pulse = 1e18

[simulate.detector]
s_min_per_angstrom = 0.004
s_max_per_angstrom = 0.02

[phase]
starts = 2
refined = 2

[phase.coarse]
schedule = "20 hio, 10 er"
support_every = 10
blur_voxels = 3.0

[phase.fine]
schedule = "10 raar, 10 er"
support_every = 10
blur_voxels = 2.0

[score]
align_fine_angstrom = 60.0
slice_points = 21
"""
Call = Callable[..., int]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory where the embedded task `quick` is a small one, as are its data."""
    directory = tmp_path_factory.mktemp("submit")
    (directory / "tasks/quick").mkdir(parents=True)
    (directory / "cloud.pdb").write_text(_cloud())
    text = TASK.replace("STRUCTURE", str(directory / "cloud.pdb"))
    (directory / "tasks/quick/quick.toml").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tasks, "_TASKS", directory / "tasks")
        lifecycle._embedded.cache_clear()
        yield directory
    lifecycle._embedded.cache_clear()


def _cloud() -> str:
    """Return a lopsided cloud of 300 carbons, about 200 Å across, as a PDB file."""
    draw = np.random.default_rng(1)
    positions = draw.normal(size=(300, 3)) * [40.0, 24.0, 15.0]
    positions[:60] += [0.0, 50.0, 20.0]
    lines = [
        f"ATOM  {n:5d}  C1  LIG A{n:4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00           C"
        for n, (x, y, z) in enumerate(positions, 1)
    ]
    return "\n".join([*lines, "END", ""])


@pytest.fixture
def call(place: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run ``xrai-bench`` in that directory and return its exit code."""
    monkeypatch.chdir(place)
    return _bench


def _bench(*arguments: str | Path) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["xrai-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    return int(stop.value.code or 0)


def _blocks(repository: Path, language: str) -> list[str]:
    page = (repository / "docs/how_to/submit.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def written(place: Path, repository: Path) -> Path:
    """What the page's first three steps leave: a result by its own code, h5py and mrcfile alone."""
    task = tasks.load_task("quick")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert _bench(*_commands(repository)[0]) == 0
    known = read_truth(place / "quick/patterns.truth.h5")
    particle = true_particle(task.simulate, "", (0.004, 0.02), None)
    F = scattering_grid(particle.particle, GRID, SPACING, particle.photon_energy_ev)
    given = {"volume": np.abs(F) ** 2, "spacing": SPACING, "orientations": known.orientations}
    (code,), (description,) = _blocks(repository, "python"), _blocks(repository, "toml")
    (place / "mine").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        exec(code, given)
    (place / "mine/submission.toml").write_text(description)
    return (place / "mine").rename(place / "written")


@pytest.fixture
def mine(written: Path, call: Call, place: Path) -> Iterator[Path]:
    """That, in `mine`, where a test may change it."""
    shutil.copytree(written, place / "mine")
    yield place / "mine"
    shutil.rmtree(place / "mine")


def _commands(repository: Path) -> list[list[str]]:
    lines = [line for block in _blocks(repository, "sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines]


def test_a_stranger_has_a_verified_row(
    mine: Path, call: Call, place: Path, repository: Path, capsys: pytest.CaptureFixture
) -> None:
    _, score_command, verify_command = _commands(repository)
    assert call(*score_command) == 0
    told = record.read(mine / "quick-mine-0-self-reported.json")
    assert call(*verify_command, "--out", "records") == 0
    assert re.search(r"all \d+ numbers claimed are confirmed", capsys.readouterr().err)

    found = record.read(place / "records/quick-mine-0-verified.json")
    assert (told.origin, found.label) == ("self-reported", "mine, verified")
    assert found.artefacts_sha256 == told.artefacts_sha256
    assert set(found.artefacts_sha256) == {"intensity.mrc", "poses.h5"}
    assert found.metrics["pose_error_median_deg"].value < 2.0
    # Who made it, and what it took, as stated.
    assert (found.submission["contact"], found.notes) == ("a.author@example.org", "EMC of our own.")
    assert (found.hardware.cores, found.seconds["reconstruct"], found.peak) == (64, 420.0, 21.0)
    assert found.versions["mine"] == "1.0"
    assert not found.warnings


def test_a_claim_that_is_not_confirmed_is_named(
    mine: Path, call: Call, place: Path, make_record: Callable[..., Record],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    claimed = make_record(method="mine", fsc=20.0, origin="self-reported")
    found = make_record(method="mine", fsc=20.5, origin="verified")
    assert verifying._compared(claimed, found).differing == ()
    monkeypatch.setattr(verifying, "score_submission", lambda *given, **stated: found)
    found = dataclasses.replace(found, metrics={**found.metrics, "fsc_truth_0.5": Value(value=22)})
    record.write(mine / record.file_name(claimed), claimed)
    assert call("verify", "mine", "--out", "other") == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "not confirmed: fsc_truth_0.5 is claimed as 20.0, found 22.0" in said
    kept = record.read(place / "other/quick-mine-0-verified.json")
    assert kept.metrics["fsc_truth_0.5"].value == 22
    assert kept.warnings == ("fsc_truth_0.5 is claimed as 20.0, found 22.0",)


def test_blind_data_are_scored_by_whom_they_came_from(
    mine: Path, call: Call, place: Path, repository: Path, capsys: pytest.CaptureFixture
) -> None:
    about = data.make_blind(tasks.load_task("quick"), place / "given", place / "kept")
    truth = place / "kept/patterns.truth.h5"
    (public,) = _blocks(repository, "toml")
    description = public + f'commitment = "{about.commitment}"\n'
    (mine / "submission.toml").write_text(description)
    with h5py.File(mine / "poses.h5", "r+") as file:
        file["orientations"][...] = read_truth(truth).orientations
    # The poses say that they are of the public patterns.
    with pytest.raises(FormatError, match=r"poses.h5 is of patterns whose photons have the hash"):
        verify(mine, truth=truth)
    with h5py.File(mine / "poses.h5", "r+") as file:
        file.attrs["photons_sha256"] = np.bytes_(about.photons_sha256)

    assert call("score", "mine") == 2
    assert "is as it should be, of blind data" in " ".join(capsys.readouterr().err.split())
    made = verify(mine, truth=truth).record
    assert made.metrics["pose_error_median_deg"].value < 2.0
    assert (made.task, made.commitment, made.warnings) == ("quick-blind", about.commitment, ())
    assert made.photons_sha256 == about.photons_sha256
    assert (made.data_seed, made.patterns) == (0, 60)
    assert str(read_truth(truth).seed) not in json.dumps(dataclasses.asdict(made), default=str)
    (entry,) = leaderboard.entries([made])
    assert (entry.task, entry.label) == ("quick-blind", "mine, verified")

    # Another truth than the one that was fixed.
    (mine / "submission.toml").write_text(public)
    with pytest.raises(ConfigError, match=r"submission.toml states the commitment of nothing"):
        verify(mine, truth=truth)
    (mine / "submission.toml").write_text(description)
    with h5py.File(truth, "r+") as file:
        file["particles/orientation"][:10] = file["particles/orientation"][10:20]
        file.attrs["salt"] = np.bytes_('"0123"')
    with pytest.raises(ConfigError, match="these are not the same data"):
        verify(mine, truth=truth)
    with pytest.raises(ConfigError, match="is the truth of the public data of quick"):
        verify(mine, truth=place / "quick/patterns.truth.h5")


def _external(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["orientations"] = h5py.ExternalLink(str(truth), "particles/orientation")


def _external_within_a_group(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file["a/b"] = h5py.ExternalLink(str(truth), "particles")
        file["orientations"] = h5py.SoftLink("/a/b/orientation")


def _virtual(path: Path, truth: Path) -> None:
    layout = h5py.VirtualLayout((60, 4), "f4")
    layout[:] = h5py.VirtualSource(truth, "particles/orientation", (60, 4))
    with h5py.File(path, "w") as file:
        file.create_virtual_dataset("orientations", layout)


def _raw(path: Path, truth: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("orientations", (60, 4), "f4", external=[(str(truth), 0, 960)])


def _link(path: Path, truth: Path) -> None:
    path.symlink_to(truth)


@pytest.mark.parametrize("make", [_external, _external_within_a_group, _virtual, _raw, _link])
def test_files_that_reach_for_the_truth_are_refused(
    make: Callable[[Path, Path], None], mine: Path, place: Path
) -> None:
    truth, poses = place / "quick/patterns.truth.h5", mine / "poses.h5"
    require_alone(poses)
    poses.unlink()
    make(poses, truth)
    with pytest.raises(FormatError, match=r"lies in another file|is no plain file"):
        verify(mine)


_WRONG = [
    ("authors = [", "author = [", "unknown configuration key author; did you mean authors?"),
    ("cores = 64", "core = 64", "key hardware.core; did you mean hardware.cores?"),
    ("cores = 64", "cores = 0", "hardware.cores is 0; expected 1 to"),
    ('method = "mine"', 'method = "a/b"', "method is 'a/b'; expected letters, digits"),
    ('license = "CC-BY-4.0"', "", "missing 1 required keyword-only argument: 'license'"),
    ("seconds = 420.0", "seconds = -1", "seconds is -1.0; expected above 0"),
    ('"https://example.org/mine"', '"mine.py"', "expected an address (https://…) or a DOI"),
    ("task_version = 1", "task_version = 2", "version 2 of quick; this is version 1 of quick"),
    ('task = "quick"', 'task = "quik"', "unknown task 'quik'; did you mean quick?"),
    ('division = "open"', 'division = "closed"', "quick states no budget; expected division"),
]


@pytest.mark.parametrize(("right", "wrong", "message"), _WRONG)
def test_a_description_that_is_wrong_is_one_message(
    mine: Path, call: Call, capsys: pytest.CaptureFixture, right: str, wrong: str, message: str
) -> None:
    path = mine / "submission.toml"
    assert right in path.read_text()
    path.write_text(path.read_text().replace(right, wrong, 1))
    for command in ("score", "verify"):
        assert call(command, "mine") == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_what_is_no_submission_is_one_message(
    mine: Path, call: Call, capsys: pytest.CaptureFixture
) -> None:
    (mine / "submission.toml").unlink()
    for command, message in (("score", "state the task it is of: --task"), ("verify", "says who")):
        assert call(command, "mine") == 2
        assert message in " ".join(capsys.readouterr().err.split())


def test_the_closed_division_holds_a_description_to_the_budget(
    place: Path, repository: Path
) -> None:
    (text,) = _blocks(repository, "toml")
    (place / "closed.toml").write_text(text.replace('"open"', '"closed"'))
    told = config.load(Description, place / "closed.toml")
    task = tasks.load_task("quick")
    for seconds, device, gpu, fits in [
        (420.0, "cpu", "", True), (419.0, "cpu", "", False), (500.0, "cpu", "H200", False),
        (500.0, "any", "H200", True),
    ]:  # fmt: skip
        budget = dataclasses.replace(task.budget, seconds=seconds, device=device)
        asked = dataclasses.replace(task, budget=budget)
        machine = dataclasses.replace(told.hardware, gpu=gpu)
        mine = dataclasses.replace(told, hardware=machine)
        if fits:
            mine.check_task(asked)
            assert mine.division == CLOSED
        else:
            with pytest.raises(ConfigError, match='that is division = "open"'):
                mine.check_task(asked)
