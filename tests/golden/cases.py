"""Every command on tiny data at a fixed seed: what it leaves, as quantities by name.

A case gets an empty directory and the directory of inputs. The inputs are in the repository, so
that a change of the draw moves the cases of ``make`` alone.
"""

import contextlib
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w

import baselines.cli
import xrai.cli
import xraisim.cli
from tests.golden import read
from tests.golden.quantity import (
    Quantity,
    curve,
    digest,
    drawn,
    exact,
    figures,
    points,
    poses,
    turned_poses,
)

Result = dict[str, Quantity]
Case = Callable[[Path, Path], Result]
CASES: dict[str, Case] = {}

PATTERNS, PARTICLE, INTENSITY = "patterns.h5", "particle.pdb", "intensity.h5"
TRUTH = "orientations.npy"
_COMMANDS = {"xrai-sim": xraisim.cli, "xrai": xrai.cli, "xrai-baseline": baselines.cli}

# How far a reconstruction may end elsewhere: other rounding sends random choices other ways, and
# 300 patterns hold it loosely. About twice what was seen with ATEN_CPU_CAPABILITY=default
# NUMBA_CPU_NAME=generic.
_ELSEWHERE_DEG, _ELSEWHERE_CURVE, _ELSEWHERE_FIGURE = 3.0, 0.2, 0.02

_DETECTOR = {"rows": 24, "columns": 24, "pixel_size_mm": 4.0, "s_min_per_angstrom": 0.004}
_MAKE = {"patterns": 12, "beam": {"photons_per_pulse": 1e16}, "detector": _DETECTOR}
_EXPERIMENT = {
    "beam": {"photon_energy_ev": 4600.0},
    "detector": {"distance_mm": 200.0, "pixel_size_mm": 2.0833},
}
_TRAIN: dict[str, Any] = {
    "block": 100,
    "start": {"restarts": 1, "steps": 60, "rotations": 800, "batch": 100, "growth": 1.12},
    "search": {"rotations": 1200},
    "encoder": {
        "rings": 8, "azimuths": 16, "directions": 120, "channels": 16, "heads": 3, "steps": 20,
        "batch": 32,
    },
}  # fmt: skip
_LEVELS = [
    {"reach": 3.5, "rotations": 800, "iterations": 8, "information": [0.36, 0.9], "ramp": 6},
    {"reach": 4.5, "rotations": 3000, "iterations": 2, "search": "local"},
]


def run(command: str, *arguments: str | Path) -> str:
    """Run a command in this process; return what it prints. Raises if it fails."""
    program, *rest = command.split()
    printed, before = io.StringIO(), sys.argv
    sys.argv = [program, *rest, *map(str, arguments)]
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()) as said:
            _COMMANDS[program].main()
    except SystemExit as stop:
        if stop.code:
            raise RuntimeError(
                f"{' '.join(sys.argv)} ended with {stop.code}: {said.getvalue()}"
            ) from stop
    finally:
        sys.argv = before
    return printed.getvalue()


def _settings(path: Path, values: dict[str, Any]) -> Path:
    path.write_text(tomli_w.dumps(values))
    return path


def case(name: str) -> Callable[[Case], Case]:
    """Register a case by name."""

    def register(function: Case) -> Case:
        CASES[name] = function
        return function

    return register


def _register_make(name: str, changes: dict[str, Any]) -> None:
    @case(f"make-{name}")
    def made(directory: Path, inputs: Path) -> Result:
        settings = _settings(directory / "make.toml", {**_MAKE, **changes})
        out = directory / PATTERNS
        pdb = () if "species" in changes else ("--pdb", inputs / PARTICLE)
        run("xrai-sim make", *pdb, "--config", settings, "--out", out, "--seed", "3")
        return {
            "photons": drawn(read.photons_per_pattern(out), *read.photons(out)),
            "orientations": poses(read.true_orientations(out)),
        }


for _name, _changes in {
    "plain": {},
    "background": {"background": {"photons_per_pixel": 0.5}},
    "background-strength": {
        "background": {
            "kind": "exponential", "photons_per_pixel": 2.0,
            "strength": {"distribution": "lognormal", "sigma": 0.5},
        }
    },
    "fluence": {"fluence": {"distribution": "lognormal", "sigma": 0.3}},
    "hits": {
        "patterns": 40,
        "hits": {
            "blank_fraction": 0.2, "multiple_fraction": 0.2, "contaminant_fraction": 0.2,
            "contaminant_radius_angstrom": 30.0,
        },
    },
    "defects": {"defects": {"dead_fraction": 0.02, "hot_fraction": 0.02, "noisy_fraction": 0.02}},
    "readout": {"readout": {"adu_per_photon": 20.0, "noise_adu": 4.0, "common_mode_adu": 2.0}},
    "shapes": {
        "species": [
            {"shape": "cube", "size_nm": 4.0, "material": "gold", "weight": 1.0},
            {"shape": "sphere", "size_nm": 5.0, "material": "protein", "weight": 2.0},
        ],
        "beam": {"photons_per_pulse": 1e13},
    },
    "solvent": {"solvent": {"enabled": True}},
    "panels": {"instrument": "euxfel-agipd1m", "patterns": 2, "detector": {}},
}.items():  # fmt: skip
    _register_make(_name, _changes)


def _register_convert(name: str, suffix: str, *, has_detector: bool) -> None:
    @case(f"convert-{name}")
    def converted(directory: Path, inputs: Path) -> Result:
        there, back, detector = (
            directory / one for one in (f"there{suffix}", "back.h5", "detector.h5")
        )
        run("xrai-sim convert", inputs / PATTERNS, there, "--to", name)
        run("xrai-sim convert", inputs / PATTERNS, detector, "--to", "dragonfly-detector")
        beam = _settings(directory / "beam.toml", _EXPERIMENT)
        options = () if has_detector else ("--detector", detector)
        run("xrai-sim convert", there, back, "--diameter", "95", "--config", beam, *options)
        return {
            "photons": digest(*read.photons(back)),
            "pixels": curve(read.scattering_vectors(back)[::97], 1e-5),
        }


for _name, _suffix, _has_detector in (
    ("emc", ".emc", False),
    ("emc-int", ".emc", False),
    ("emc-double", ".emc", False),
    ("dragonfly-h5", ".h5", False),
    ("cxi", ".cxi", True),
    ("skopi", ".h5", True),
    ("h5", ".h5", False),
    ("npy", ".npy", False),
    ("npz", ".npz", False),
):
    _register_convert(_name, _suffix, has_detector=_has_detector)


@case("plan")
def _plan(directory: Path, inputs: Path) -> Result:
    settings = _settings(directory / "plan.toml", _MAKE)
    text = run(
        "xrai-sim plan", "--pdb", inputs / PARTICLE, "--config", settings, "--json",
        "--png", directory / "plan.png",
    )  # fmt: skip
    return {"plan": figures(_numbers(json.loads(text)))}


def _numbers(values: Any, name: str = "") -> dict[str, float]:
    """Return the numbers of nested tables and lists, by their path."""
    if isinstance(values, bool) or not isinstance(values, dict | list | int | float):
        return {}
    if isinstance(values, int | float):
        return {name: float(values)}
    items = values.items() if isinstance(values, dict) else enumerate(values)
    found: dict[str, float] = {}
    for key, item in items:
        found |= _numbers(item, f"{name}.{key}".lstrip("."))
    return found


def _register_train(name: str, changes: dict[str, Any], *options: str) -> None:
    @case(f"train-{name}")
    def trained(directory: Path, inputs: Path) -> Result:
        settings = _settings(directory / "train.toml", {**_TRAIN, **changes})
        out = directory / "run"
        run("xrai train", inputs / PATTERNS, "--out", out, "--config", settings, *options)
        return _of_run(out, changes.get("symmetry", "C1"))


def _of_run(out: Path, symmetry: str) -> Result:
    found: Result = {
        "orientations": turned_poses(read.orientations(out / "poses.h5"), _ELSEWHERE_DEG, symmetry),
        "radial means": points(read.radial_means(out / INTENSITY), _ELSEWHERE_CURVE),
    }
    rounds = read.events(out / "metrics.jsonl", "round")
    if rounds:
        compared = [one["icc_half"] for one in rounds if "icc_half" in one]
        if compared:
            found["half-sets"] = curve(compared[-1], _ELSEWHERE_CURVE)
        last = {"log-likelihood": rounds[-1]["loglik_per_pattern"]}
        found["last round"] = figures(last, _ELSEWHERE_FIGURE)
    return found


_register_train("hybrid", {})
_register_train("single-pass", {"rounds": {"patterns": 100}}, "--single-pass")
_register_train("one-set", {"rounds": {"halves": False}})
_register_train("symmetry", {"symmetry": "C2"})
_register_train("paper", {"mode": "paper", "end_to_end": {"batch": 50, "channels": 4}})


@case("poses")
def _poses(directory: Path, inputs: Path) -> Result:
    settings = _settings(directory / "train.toml", _TRAIN)
    run("xrai train", inputs / PATTERNS, "--out", directory / "run", "--config", settings)
    found = {}
    for name, options in {"refined": (), "encoder only": ("--encoder-only",)}.items():
        out = directory / "poses.h5"
        run("xrai poses", directory / "run", inputs / PATTERNS, "--out", out, "--force", *options)
        found[name] = turned_poses(read.orientations(out), 2 * _ELSEWHERE_DEG)
        stated = {"median": float(np.median(read.pose_column(out, "error_deg")))}
        found[f"{name}: stated errors (°)"] = figures(stated, 0.2)
    return found


def _register_emc(name: str, changes: dict[str, Any], *options: str) -> None:
    @case(f"emc-{name}")
    def reconstructed(directory: Path, inputs: Path) -> Result:
        settings = {"levels": _LEVELS, "restarts": 1, **changes}
        path, out = _settings(directory / "emc.toml", settings), directory / "run"
        run("xrai-baseline emc", inputs / PATTERNS, "--out", out, "--config", path, *options)
        summary = read.result(out)
        wanted = ("log_likelihood_per_photon", "occupancy", "rotations", "iterations")
        return {
            "orientations": turned_poses(
                read.orientations(out / "poses.h5"),
                _ELSEWHERE_DEG,
                changes.get("symmetry", "C1"),
            ),
            "radial means": points(read.radial_means(out / INTENSITY), _ELSEWHERE_CURVE),
            "summary": figures({key: summary[key] for key in wanted}, _ELSEWHERE_FIGURE),
        }


_register_emc("harmonic", {"engine": "harmonic"})
_register_emc("dense", {"engine": "dense"})
_register_emc("halves", {}, "--halves")
_register_emc("symmetry", {"symmetry": "C2"})


@case("classify")
def _classify(directory: Path, inputs: Path) -> Result:
    out = directory / "classes"
    run(
        "xrai-baseline classify",
        inputs / PATTERNS,
        "--out",
        out,
        "--classes",
        "2",
        "--restarts",
        "2",
    )
    summary = read.result(out)
    return {
        "blank": exact(summary["blank"]),
        "likelihood": figures({"best start": max(summary["starts"])}, _ELSEWHERE_FIGURE),
    }


@case("phase")
def _phase(directory: Path, inputs: Path) -> Result:
    out = directory / "density"
    run(
        "xrai-baseline phase", inputs / INTENSITY, "--out", out, "--diameter", "95",
        "--starts", "3", "--config", _settings(directory / "phase.toml", {"refined": 2}),
    )  # fmt: skip
    rows = (out / "prtf.csv").read_text().splitlines()
    prtf = [float(row.split(",")[1]) for row in rows[1:]]
    found = read.result(out)
    return {
        "prtf": curve(prtf, _ELSEWHERE_CURVE),
        "radial means": points(read.radial_means(out / "density.h5"), _ELSEWHERE_CURVE),
        "summary": figures(
            {"R": min(found["r_factors"]), "support (Å³)": found["support_angstrom3"]},
            _ELSEWHERE_FIGURE,
        ),
    }
