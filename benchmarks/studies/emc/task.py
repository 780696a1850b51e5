"""What the parts of the comparison with Dragonfly share: setting, truth, curves of a run."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.studies.emc.dragonfly import AS_SHIPPED, Changes, Simulation
from benchmarks.studies.emc.truth import Agreement, Truth, agreement, likelihood_per_photon, reaches
from xraisim import console
from xraisim.core.json_text import to_json
from xraisim.core.types import Photons, Pixels, Volume
from xraisim.files.patterns import PatternReader

HELD_OUT = 256  # frames that neither program sees


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The options of the command; ``ours`` is None for the settings chosen here."""

    programs: Path
    out: Path
    threads: int
    repeats: int
    iterations: int
    ours: Path | None
    figures: Path

    def simulation(self, name: str, frames: int, changes: Changes = AS_SHIPPED) -> Simulation:
        """Return frames of Dragonfly's in folder ``name``, made unless they are there."""
        return Simulation(self.programs, self.out / name, frames, self.threads, changes)


def truth_of(frames: Simulation) -> Truth:
    """Return the truth of simulated frames."""
    return Truth(
        volume=frames.truth(),
        s_range=frames.s_range,
        diameter_angstrom=frames.diameter_angstrom,
    )


@dataclass(frozen=True, kw_only=True)
class Judge:
    """Judges volumes by the truth and by photons: of frames used, and of frames held out."""

    truth: Truth
    pixels: Pixels
    used: Photons
    held_out: Photons
    orientations: int

    @classmethod
    def of(cls, frames: Simulation, test: Simulation, orientations: int) -> "Judge":
        """Take the truth of ``frames``, their first photons, and those of ``test``."""
        truth = truth_of(frames)
        with PatternReader(frames.patterns()) as reader:
            # half a float32 step to spare: the outermost pixel is within its own radius
            count = reader.pixels.count_below(truth.s_range[1] * (1 + 1e-6))
            used = reader.read(0, min(HELD_OUT, reader.n_patterns))
            pixels = reader.pixels.first(count)
        with PatternReader(test.patterns()) as reader:
            held_out = reader.read(0, reader.n_patterns)
        return cls(
            truth=truth, pixels=pixels, used=used, held_out=held_out, orientations=orientations
        )

    def likelihoods(self, volume: Volume) -> dict[str, float]:
        """Return log-likelihoods per photon (nats) of frames used and of frames held out."""
        return {
            "used": likelihood_per_photon(volume, self.pixels, self.used, self.orientations),
            "held_out": likelihood_per_photon(
                volume, self.pixels, self.held_out, self.orientations
            ),
        }

    def agreements(self, path: Path, volumes: Iterable[tuple[int, Volume | None]]) -> list[Any]:
        """Return the agreement of each numbered volume, None of one that stops short of the edge.

        What was found is kept in ``path``: each takes a while.
        """
        known = json.loads(path.read_text()) if path.exists() else {}
        found = []
        for number, volume in volumes:
            key = str(number)
            if volume is not None and not reaches(volume, self.truth.s_range[1]):
                volume = None
            if key not in known and volume is not None:
                console.say(f"{path.parent.name}: volume {number} against the truth")
                known[key] = vars(agreement(volume, self.truth))
                path.write_text(to_json(known))
            found.append(Agreement(**known[key]) if key in known else None)
        return found
