"""The data of tasks: frozen by a hash over their photons; blind ones give nothing away."""

import base64
import dataclasses
import hashlib
import json
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

from benchmarks import cli, data
from benchmarks.data import TaskData
from benchmarks.task import Task, load_task, task_names
from xraisim.core import config
from xraisim.core.errors import ConfigError
from xraisim.core.random import stream_key
from xraisim.core.types import Photons
from xraisim.files.commitment import commitment
from xraisim.files.pattern_schema import COUNT, OFFSETS, PIXEL
from xraisim.files.patterns import PatternReader
from xraisim.files.truth import Truth, read_truth
from xraisim.simulation.simulator import Simulator

PUBLIC_SEED = 20_261_130
TASK = f"""
version = 3
summary = "Gold icosahedra, some of the detector's defects announced."

[simulate]
patterns = 40
seed = {PUBLIC_SEED}

[[simulate.species]]
shape = "icosahedron"
size_nm = 3.0
material = "gold"

[simulate.beam]
photons_per_pulse = 3e13

[simulate.detector]
rows = 24
columns = 24
pixel_size_mm = 3.0

[simulate.defects]
dead_fraction = 0.05
announced = 0.5
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "gold.toml").write_text(TASK)
    return load_task(str(tmp_path / "gold.toml"))


@pytest.fixture
def call(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path: Path, task: Task
) -> Call:
    """Run ``xrai-bench data gold.toml`` in an empty directory: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["xrai-bench", "data", "gold.toml", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        said = capsys.readouterr()
        return int(stop.value.code or 0), said.out, " ".join(said.err.split())

    return run


def _told(directory: Path) -> TaskData:
    return config.from_mapping(TaskData, json.loads((directory / data.ABOUT).read_text()))


def test_every_task_of_ours_states_its_version() -> None:
    paths = list((Path(data.__file__).parent / "tasks").rglob("*.toml"))
    assert sorted(path.stem for path in paths) == task_names()
    for path in paths:
        assert config.read_toml(path)["version"] == load_task(path.stem).version == 1


def test_what_a_task_may_state(task: Task) -> None:
    for wrong in ("a" * 63, "A" * 64, "sha256"):
        with pytest.raises(ConfigError, match="expected 64 hexadecimal digits"):
            dataclasses.replace(task, photons_sha256=wrong)
    with pytest.raises(ConfigError, match="version is 0; expected 1 to"):
        dataclasses.replace(task, version=0)
    assert task.photons_agree("a" * 64) is None
    stated = dataclasses.replace(task, photons_sha256="a" * 64)
    assert (stated.photons_agree("a" * 64), stated.photons_agree("b" * 64)) == (True, False)


def test_the_data_of_a_task_and_the_hash_to_state(call: Call) -> None:
    code, out, _ = call("--out", "made")
    assert code == 0
    told, path = _told(Path("made")), Path("made/patterns.h5")
    assert out.splitlines() == [
        f'photons_sha256 = "{told.photons_sha256}"',
        f"photons_per_pattern = {told.photons_per_pattern}",
        f"photons_beyond = {told.photons_beyond}",
    ]
    assert told.photons_sha256 == _hash_by_hand(path)
    assert (told.task, told.task_version, told.blind, told.count) == ("gold", 3, False, 40)
    assert told.photons_per_pattern > 10
    assert read_truth("made/patterns.truth.h5").seed == PUBLIC_SEED

    code, _, err = call("--out", "made")
    assert code == 2
    assert "made is there already and not empty" in err
    assert call("--out", "made", "--force")[:2] == (0, out)


def _hash_by_hand(path: Path) -> str:
    found = hashlib.sha256()
    with h5py.File(path) as file:
        offsets, pixel, count = (file[name][()].tolist() for name in (OFFSETS, PIXEL, COUNT))
    for first, last in pairwise(offsets):
        photons: Counter[int] = Counter()
        for one, counted in zip(pixel[first:last], count[first:last], strict=True):
            photons[one] += counted  # more than 255 are several entries
        found.update(struct.pack("<I", len(photons)))
        for entry in sorted(photons.items()):
            found.update(struct.pack("<II", *entry))
    return found.hexdigest()


def test_blind_patterns_let_nobody_draw_the_truth_again(call: Call, task: Task) -> None:
    code, out, err = call("--blind", "--out", "given", "--truth", "kept")
    assert code == 0
    given, kept = Path("given"), Path("kept")
    assert {one.name for one in given.iterdir()} == {"patterns.h5", "data.json"}
    assert {one.name for one in kept.iterdir()} == {"patterns.truth.h5", "data.json"}
    assert kept.stat().st_mode & 0o077 == 0
    truth = read_truth(kept / "patterns.truth.h5")
    assert truth.seed >= 2**64, "one in 2**64 is not"

    # It is in the organiser's files, where the same search finds it.
    needles = list(_forms_of(truth))
    assert sum(needle in _all_of(kept) for needle in needles) >= 3
    haystack = _all_of(given) + f"{out}{err}".encode()
    assert [needle for needle in needles if needle in haystack] == []

    with PatternReader(given / "patterns.h5") as reader:
        patterns, provenance = reader.read_raw(0, 40), reader.info["provenance"]
    for seed in _guesses(task, given):
        assert not _draws(task, seed, patterns), seed
    assert _draws(task, truth.seed, patterns), "which the true seed does"
    _is_proved(provenance["commitment"], truth)
    assert _told(given) == _told(kept)
    assert _told(given).commitment == provenance["commitment"]
    assert _told(given).photons_sha256 == _hash_by_hand(given / "patterns.h5")


def _is_proved(stated: str, truth: Truth) -> None:
    """The organiser's file gives the commitment that the patterns carry."""
    recipe = {
        name: getattr(truth, name)
        for name in ("seed", "draw_version", "species", "structures_sha256", "config")
    }
    assert commitment(recipe, truth.salt) == stated
    assert commitment({**recipe, "seed": truth.seed ^ 1}, truth.salt) != stated


def _forms_of(truth: Truth) -> Iterator[bytes]:
    """Yield the secrets as they might stand in a file: whole, halves, keys of streams."""
    for order in ("little", "big"):
        raw = truth.seed.to_bytes(16, order)
        yield from (raw, raw[:8], raw[8:], base64.b64encode(raw).rstrip(b"="))
        yield from (raw.hex().encode(), raw.hex().upper().encode())
    yield from (f"{truth.seed}".encode(), f"{truth.seed:x}".encode())
    yield from (truth.salt.encode(), bytes.fromhex(truth.salt), truth.config.encode())
    for stream in ("photons", "orientation", "fluence", "defects"):
        yield np.array(stream_key(truth.seed, stream), "<u4").tobytes()
    yield truth.orientations[0].tobytes()
    yield truth.fluence[:4].tobytes()


def _all_of(directory: Path) -> bytes:
    """Return names, attributes and contents of files, those of HDF5 unpacked too."""
    found = []
    for path in sorted(directory.rglob("*")):
        extended = [os.getxattr(path, name) for name in os.listxattr(path)]
        found += [path.name.encode(), *extended, path.read_bytes()]
        if path.suffix == ".h5":
            with h5py.File(path) as file:
                found += _attributes(file)
                file.visititems(partial(_unpack, found))
    return b"\0".join(found)


def _unpack(found: list[bytes], name: str, item: h5py.Group | h5py.Dataset) -> None:
    content = [np.asarray(item[()]).tobytes()] if isinstance(item, h5py.Dataset) else []
    found += [name.encode(), *_attributes(item), *content]


def _attributes(item: h5py.Group | h5py.Dataset) -> list[bytes]:
    return [f"{name} {value}".encode() for name, value in item.attrs.items()]


def _guesses(task: Task, given: Path) -> Iterator[int]:
    """Yield seeds that somebody with the patterns would try."""
    yield from (0, 1, task.simulate.seed)
    told = _told(given)
    for text in (told.commitment, told.photons_sha256):
        number = int(text, 16)
        yield from (number % 2**128, number >> 128, number % 2**64, number % 2**63)
    changed = (given / "patterns.h5").stat()
    yield from (changed.st_mtime_ns, int(changed.st_mtime), changed.st_ino)


def _draws(task: Task, seed: int, patterns: Photons) -> bool:
    """Return whether a seed draws these patterns."""
    simulated = dataclasses.replace(task.simulate, seed=seed)
    found = Simulator(simulated).photons(0, len(patterns))
    return all(
        np.array_equal(getattr(found, name), getattr(patterns, name))
        for name in ("offsets", "pixel", "count")
    )


def test_blind_data_differ_from_each_other(task: Task, tmp_path: Path) -> None:
    made = [
        data.make_blind(task, tmp_path / f"given-{k}", tmp_path / f"kept-{k}") for k in range(2)
    ]
    assert made[0].photons_sha256 != made[1].photons_sha256
    before = made[0]
    (tmp_path / "given-0" / "patterns.truth.h5").write_text("of a public set that was here")
    again = data.make_blind(task, tmp_path / "given-0", tmp_path / "kept-0", force=True)
    assert again.commitment != before.commitment
    names = {one.name for one in (tmp_path / "given-0").iterdir()}
    assert names == {"patterns.h5", "data.json"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--blind"], "--blind and --truth go together"),
        (["--truth", "kept"], "--blind and --truth go together"),
        (["--blind", "--truth", "given"], "goes out with the patterns in given"),
        (["--blind", "--truth", "given/kept"], "goes out with the patterns in given"),
        (["--blind", "--truth", "there/../given/kept"], "goes out with the patterns in given"),
        (["--blind", "--truth", "link/kept"], "goes out with the patterns in given"),
        (["--blind", "--truth", "there"], "there is there already and not empty"),
        (["--blind", "--truth", "gold.toml"], "gold.toml is a file"),
    ],
)
def test_a_truth_that_would_be_given_away_is_refused(
    call: Call, arguments: list[str], message: str
) -> None:
    Path("there").mkdir()
    Path("there/mine.txt").write_text("mine")
    Path("given").mkdir()
    Path("link").symlink_to("given", target_is_directory=True)
    code, out, err = call("--out", "given", *arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(Path("given").iterdir())
    assert Path("there/mine.txt").exists()


def test_a_making_that_fails_leaves_nothing_of_the_truth_in_reach(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, kept = tmp_path / "given", tmp_path / "kept"
    seen = []

    def fail(self: Simulator, first: int, n: int) -> Photons:
        seen.extend(one.name for one in tmp_path.rglob("*"))
        assert [one.name for one in given.iterdir()] == [".lock"]
        raise RuntimeError("stopped here")

    monkeypatch.setattr(Simulator, "photons", fail)
    with pytest.raises(RuntimeError, match="stopped here"):
        data.make_blind(task, given, kept)
    assert "patterns.truth.salt" in seen
    assert not given.exists()
