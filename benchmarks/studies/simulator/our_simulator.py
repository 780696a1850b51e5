"""``xrai-sim make`` as a measured command: the setting that the speed figures refer to."""

import json
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli_w

from benchmarks.studies.common.measured_command import measure, thread_limit
from benchmarks.studies.simulator.peer_figures import PeerRun

#: the bright centre is not kept: most of a pattern's photons are there and say nothing of detail
S_MIN_PER_ANGSTROM = 1 / 250
#: gives 1,005 photons per pattern of 4v6x in the kept range (the published sets: 1e12 and 1e13)
PHOTONS_PER_PULSE = 1.07e12


@dataclass(frozen=True, kw_only=True)
class MakeRun(PeerRun):
    """One run of ``xrai-sim make``.

    ``setup_s`` and ``patterns_per_s`` (without the set-up, with the file) are its own account.
    ``disk_bytes`` counts the truth file too.
    """

    setup_s: float
    patterns_per_s: float
    disk_bytes: int

    @property
    def whole_patterns_per_s(self) -> float:
        """Patterns per second of the whole command: interpreter, structure, volume and file."""
        return self.patterns / self.wall_s


def settings(
    structure: str, patterns: int, photons_per_pulse: float = PHOTONS_PER_PULSE
) -> dict[str, Any]:
    """Return the configuration: the published detector, equal pulses, no background."""
    path = Path(structure)  # the command runs in another directory
    return {
        "structure": str(path.resolve()) if path.is_file() else structure,
        "patterns": patterns,
        "instrument": "xrai2025",
        "beam": {"photons_per_pulse": photons_per_pulse},
        "detector": {"s_min_per_angstrom": S_MIN_PER_ANGSTROM},
        "fluence": {"distribution": "constant"},
    }


def run_make(
    config: dict[str, Any],
    folder: Path,
    *,
    structures: Path | None = None,
    threads: int = 2,
    keep: bool = False,
) -> MakeRun:
    """Run the installed command on ``config`` in ``folder``; its files are removed unless kept."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
    command: list[str | Path] = [Path(sysconfig.get_path("scripts"), "xrai-sim"), "make", "--json"]
    command += ["--config", "config.toml", "--out", "patterns.h5"]
    if structures is not None:
        command += ["--structures", structures.resolve()]
    taken = measure(command, directory=folder, environment=thread_limit(threads))
    summary = json.loads(taken.stdout)
    files = [folder / summary[name] for name in ("path", "truth_path")]
    disk_bytes = sum(file.stat().st_size for file in files)
    if not keep:
        for file in files:
            file.unlink()
    names = ("photons_per_pattern", "bytes_per_photon", "setup_s", "patterns_per_s")
    return MakeRun(
        patterns=config["patterns"],
        wall_s=taken.wall_s,
        peak_gib=taken.peak_gib,
        disk_bytes=disk_bytes,
        **{name: summary[name] for name in names},
    )
