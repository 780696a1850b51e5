"""Tiny valid files of every kind, made by the project itself."""

import gzip
import json
from pathlib import Path
from unittest.mock import patch

import gemmi
import numpy as np
import torch

from baselines.emc import checkpoint as emc_checkpoint
from baselines.emc.checkpoint import State as EmcState
from baselines.emc.config import EmcConfig
from baselines.phasing.config import PhasingConfig
from benchmarks import record
from benchmarks.record import Curve, Record, Value
from benchmarks.slices import Slices
from xrai.config import TrainConfig
from xrai.sources import messages
from xrai.state import checkpoint
from xrai.state.monitor import Monitor
from xrai.state.state import State
from xraisim.core import config
from xraisim.core.fsc import Resolution
from xraisim.core.machine import Hardware
from xraisim.core.merge import Accumulator
from xraisim.core.types import Photons, Volume
from xraisim.files import truth
from xraisim.files.atomic import partial_path
from xraisim.files.patterns import PatternWriter
from xraisim.files.poses import write_poses
from xraisim.files.result import Result, write_result
from xraisim.files.shards import Shard
from xraisim.files.truth import write_truth
from xraisim.files.volumes import write_volume
from xraisim.formats.convert import convert
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Detector, geometry
from xraisim.photons.shots import Shots
from xraisim.simulation.config import SimulationConfig

PATTERNS, ROWS, COLUMNS = 9, 5, 4
PDB = "".join(
    [
        "REMARK 350 BIOMOLECULE: 1\n",
        "REMARK 350 APPLY THE FOLLOWING TO CHAINS: A\n",
        "REMARK 350   BIOMT1   1  1.000000  0.000000  0.000000        0.00000\n",
        "REMARK 350   BIOMT2   1  0.000000  1.000000  0.000000        0.00000\n",
        "REMARK 350   BIOMT3   1  0.000000  0.000000  1.000000        0.00000\n",
        *(
            f"ATOM  {i:5d}  {name:<3s} ALA A{1 + i // 5:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00           {name[0]}\n"
            for i, (name, x, y, z) in enumerate(
                [
                    ("N", 0, 0, 0),
                    ("CA", 1.5, 0, 0),
                    ("C", 2, 1.4, 0),
                    ("O", 1.2, 2.4, 0.3),
                    ("CB", 2, -0.7, 1.2),
                    ("N", 3.3, 1.5, 0.1),
                    ("CA", 4, 2.8, 0),
                    ("O", 5, 3, 1),
                ],
                1,
            )
        ),
        "TER\n",
        "END\n",
    ]
)
GEOM = """photon_energy = 9000
clen = 0.12
res = 9090.91
adu_per_photon = 1
data = /entry_1/data
dim0 = %
dim1 = ss
dim2 = fs
a/min_fs = 0
a/max_fs = 3
a/min_ss = 0
a/max_ss = 4
a/corner_x = -4.0
a/corner_y = 1.0
a/fs = +1.0x +0.0y
a/ss = +0.0x +1.0y
b/min_fs = 0
b/max_fs = 3
b/min_ss = 5
b/max_ss = 9
b/corner_x = 1.0
b/corner_y = -6.0
b/fs = +1.0x +0.0y
b/ss = +0.0x +1.0y
bad1/min_fs = 0
bad1/max_fs = 1
bad1/min_ss = 0
bad1/max_ss = 1
bad1/panel = a
"""


def write_all(directory: Path) -> None:
    """Write every sample into a directory; their names are those that the readers go by.

    The bytes are always the same.
    """
    structures(directory)
    patterns(directory)
    volumes(directory)
    (directory / "panels.geom").write_text(GEOM)
    np.save(directory / "mask.npy", np.zeros((ROWS, COLUMNS), np.uint8))
    np.savetxt(directory / "profile.txt", [[0.0, 0.2], [0.1, 0.1], [1.0, 0.0]])
    settings = {
        "make": SimulationConfig(structure="x.pdb"), "train": TrainConfig(), "emc": EmcConfig(),
        "phase": PhasingConfig(),
    }  # fmt: skip
    for name, one in settings.items():
        (directory / f"{name}.toml").write_text(config.dumps(one))
    write_record(directory / "record.json")
    with patch("time.monotonic", return_value=0.0):
        run(directory / "run")
    emc_run(directory / "emc")
    checkpoints(directory)
    (directory / "zeros").write_bytes(np.zeros(3).tobytes())
    plane = np.ones((3, 3), np.float32)
    Slices(
        intensity=plane, intensity_truth=plane, reach_per_angstrom=0.1, density=plane,
        density_truth=plane, reach_angstrom=50.0,
    ).save(directory / "slices.npz")  # fmt: skip
    write_messages(directory)


def structures(directory: Path) -> None:
    """Write one peptide as PDB, PDB in gzip, and mmCIF with an assembly."""
    (directory / "a.pdb").write_text(PDB)
    (directory / "a.pdb.gz").write_bytes(gzip.compress(PDB.encode(), mtime=0))
    structure = gemmi.read_pdb_string(PDB)
    structure.setup_entities()
    structure.assign_label_seq_id()
    text = structure.make_mmcif_document().as_string()
    (directory / "a.cif").write_text(text)


def photons(patterns: int = PATTERNS, seed: int = 0) -> Photons:
    """Return patterns on all pixels but the masked first, some with several photons."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.8, (patterns, ROWS * COLUMNS))
    counts[:, 0] = 0
    row, pixel = np.nonzero(counts)
    offsets = np.searchsorted(row, np.arange(patterns + 1)).astype(np.int64)
    return Photons(
        offsets=offsets, pixel=pixel.astype(np.int32), count=counts[row, pixel].astype(np.int32)
    )


def patterns(directory: Path) -> None:
    """Write a pattern file, its shards and its truth, and the same patterns in every format."""
    beam = Beam()
    detector = geometry(Detector(rows=ROWS, columns=COLUMNS, pixel_size_mm=9.0), beam)
    detector.reasons[0] = 1
    about = {"commitment": "0" * 64, "patterns": PATTERNS, "versions": {"x-rai": "0"}}
    places = [directory / "patterns.h5", *(Shard(k, 2).path(directory / "s.h5") for k in (1, 2))]
    for path in places:
        with PatternWriter(
            path, detector=detector, beam=beam, background=0.05, particle_diameter_angstrom=100.0,
            provenance=about,
        ) as writer:  # fmt: skip
            writer.append(photons())
    growing = partial_path(directory / "growing.h5")
    growing.write_bytes(places[0].read_bytes())
    targets = {
        "p.emc": "emc", "int.emc": "emc-int", "double.emc": "emc-double", "p.cxi": "cxi",
        "dragonfly.h5": "dragonfly-h5", "skopi.h5": "skopi", "stack.h5": "h5", "p.npy": "npy",
        "p.npz": "npz",
    }  # fmt: skip
    for name, target in targets.items():
        convert(places[0], directory / name, target=target)
    convert(places[0], directory / "detector.dat")
    convert(places[0], directory / "detector.h5", target="dragonfly-detector")
    one, none = np.ones(PATTERNS, np.float32), np.zeros(PATTERNS, np.int32)
    shots = Shots(
        offsets=np.arange(PATTERNS + 1), particle=none, model=none, weight=one, scale=one,
        orientation=np.tile(np.array([1, 0, 0, 0], np.float32), (PATTERNS, 1)), fluence=one,
        strength=one, energy=one, hit=np.ones(PATTERNS, np.uint8),
    )  # fmt: skip
    known = {"seed": 0, "species": ["x"], "structures_sha256": {}, "config": "", "salt": ""}
    with patch.object(truth, "_CHUNK", PATTERNS):  # else damage would mostly hit what is not used
        write_truth(directory / "t.truth.h5", [shots], known, np.zeros(ROWS * COLUMNS, np.uint8))


def _volume(kind: str = "intensity") -> Volume:
    values = torch.rand(7, 7, 7, generator=torch.Generator().manual_seed(0))
    return Volume(values=values, spacing=0.005 if kind == "intensity" else 5.0, kind=kind)


def volumes(directory: Path) -> None:
    """Write volumes as HDF5 and as MRC maps."""
    known = {"s_max_per_angstrom": 0.01}
    write_volume(directory / "volume.h5", _volume(), known, torch.ones(7, 7, 7))
    write_volume(directory / "intensity.mrc", _volume())
    write_volume(directory / "density.mrc", _volume("density"))


def run(directory: Path) -> None:
    """Write what a finished run of ``xrai train`` leaves."""
    directory.mkdir()
    (directory / "config.toml").write_text('seed = 0\nsymmetry = "C2"\n')
    monitor = Monitor(directory / "metrics.jsonl", quiet=True)
    monitor.log("start", restart=0, nll_per_photon=4.5)
    for number in (1, 2):
        monitor.log(
            "round", number=number, kind="online", patterns=PATTERNS, patterns_seen=PATTERNS,
            loglik_per_pattern=-60.0, d_min_angstrom=90.0, s_per_angstrom=[0.0, 0.005, 0.01],
            icc_half=[None, 0.9, 0.1], outliers=0.1, patterns_per_s=9.0,
        )  # fmt: skip
    write_volume(directory / "intensity.h5", _volume(), {"s_max_per_angstrom": 0.01})
    for half in (1, 2):
        write_volume(directory / f"half_{half}.h5", _volume())
    turns = np.random.default_rng(0).normal(size=(PATTERNS, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    columns = {
        "orientations": turns, "encoder_orientations": turns[::-1], "fluence": np.ones(PATTERNS),
        "loglik": -np.ones(PATTERNS), "misfit": np.zeros(PATTERNS), "weight": np.ones(PATTERNS),
    }  # fmt: skip
    write_poses(directory / "poses.h5", columns)
    write_result(directory, _result("xrai"))


def _result(method: str) -> Result:
    return Result(
        method=method, patterns=PATTERNS, seconds=3.0, patterns_per_s=3.0, d_min_angstrom=20.0,
        resolution=Resolution(rule="icc_half_0.143", angstrom=20.0, reached_edge=True),
        hardware=Hardware(cpu="x", cores=2, memory_gib=1.0), figures={"rounds": 3},
    )  # fmt: skip


def write_record(path: Path) -> None:
    """Write the record of a benchmark."""
    curve = Curve(name="fsc_truth", s_per_angstrom=(0.0, 0.1), value=(1.0, 0.5))
    one = Record(
        task="quick", method="xrai", seed=0, data_seed=0, date="2026-01-01", config_hash="0",
        config={"a": 1}, versions={"x-rai": "0"}, seconds={"simulate": 1.0},
        hardware=Hardware(cpu="x", cores=2, memory_gib=1.0), curves=(curve,),
        metrics={"fsc_truth_0.5": Value(value=10.0)},
    )  # fmt: skip
    record.write(path, one)


def emc_run(directory: Path) -> None:
    """Write what a finished run of ``xrai-baseline emc`` leaves."""
    directory.mkdir()
    lines = [
        {"iteration": i, "level": 0, "restart": i % 2, "log_likelihood_per_photon": -4.0 + 0.1 * i,
         "beta": 0.1, "seconds": 0.5, "d_min_angstrom": 90.0} for i in range(4)
    ]  # fmt: skip
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_result(directory, _result("emc"))
    (directory / "config.toml").write_text("seed = 0\n")


def checkpoints(directory: Path) -> None:
    """Write a checkpoint of each reconstruction."""
    for name in ("unfinished", "emc_checkpoint"):
        (directory / name).mkdir()
    state = State(patterns="patterns.h5", extent={"s_max_per_angstrom": 0.01})
    state.grow(PATTERNS)
    state.seen, state.volume, state.volumes = PATTERNS, _volume(), [_volume(), _volume()]
    state.sums = [Accumulator.empty(7, 0.005)]
    checkpoint.save(state, directory / "unfinished")
    (directory / "unfinished" / "config.toml").write_text("seed = 0\n")
    Monitor(directory / "unfinished" / "metrics.jsonl", quiet=True).log("start", restart=0)
    emc_checkpoint.save(EmcState(key="k"), directory / "emc_checkpoint")


def write_messages(directory: Path) -> None:
    """Write the frames of each kind of message, their lengths in front."""
    s = np.zeros((ROWS * COLUMNS, 3), np.float32)
    one = np.ones(ROWS * COLUMNS, np.float32)
    info = dict.fromkeys(messages.INFO, 1.0) | {"provenance": {}}
    experiment = messages.Experiment(
        s=s, gain=one, background=one, mask=np.zeros(len(s), np.uint8), shape=(ROWS, COLUMNS),
        info=info,
    )  # fmt: skip
    told = {
        "experiment": experiment,
        "patterns": messages.Patterns(first=0, photons=photons()),
        "end": messages.End(patterns=PATTERNS),
    }
    for name, message in told.items():
        (directory / f"{name}.frames").write_bytes(packed(messages.encode(message, "run")))


def packed(frames: list[bytes]) -> bytes:
    """Return frames as one string of bytes: the header's line, then the rest by length."""
    return b"".join(len(frame).to_bytes(4, "little") + frame for frame in frames)


def unpacked(data: bytes) -> list[bytes]:
    """Return the frames; what is cut off is a shorter frame."""
    frames, at = [], 0
    while at < len(data) or not frames:
        size = int.from_bytes(data[at : at + 4], "little")
        frames.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return frames
