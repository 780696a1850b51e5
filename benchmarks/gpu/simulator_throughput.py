"""Patterns per second of the torch draw on a GPU, after checking that they are the right ones.

    python benchmarks/gpu/simulator_throughput.py --structure 4v6x --out p.h5 --record record.json

One call is one experiment: the photons against the CPU's expectation, then the draw alone for
several batch sizes, then ``--patterns`` patterns with their file. It stops at the first check that
fails, since the speed of wrong patterns is of no interest. ``--device cpu`` tries the script out;
the record names the device that was used.
"""

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import stats

from benchmarks.record import checkout_commit
from xraisim.core import machine
from xraisim.core.device import choose_device
from xraisim.core.errors import UserError
from xraisim.core.json_text import to_json
from xraisim.core.rotations import to_matrix
from xraisim.files.atomic import write_text
from xraisim.files.patterns import PatternWriter
from xraisim.instrument.beam import FluenceSpread
from xraisim.instrument.detector import Geometry, geometry
from xraisim.instrument.presets import preset
from xraisim.photons.shots import ShotRecipe, Shots, draw_shots
from xraisim.photons.source import look_up
from xraisim.photons.torch_source import TorchPhotonSource
from xraisim.sample.locate import locate
from xraisim.sample.structure import read_atoms
from xraisim.scattering.intensity import IntensitySpline, intensity_spline

_SEED = 1
_RECIPE = ShotRecipe()  # single hits in uniform orientations, log-normal fluences
_CONSTANT = ShotRecipe(fluence=FluenceSpread(distribution="constant"))
_SIGNIFICANCE = 1e-4  # a correct draw fails a check once in ten thousand runs
_BATCHES = (256, 1024, 4096, 16384)
_AT_LEAST_S = 5.0  # for each line of the table of batch sizes


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A particle on a detector: ``gain`` [P] scaled so that patterns have the photons asked for."""

    volume: IntensitySpline
    seen: Geometry
    gain: np.ndarray
    diameter_angstrom: float

    def source(self, device: str) -> TorchPhotonSource:
        """Return a source of the experiment's patterns, without background."""
        return TorchPhotonSource(
            [self.volume], self.seen, gain=self.gain, seed=_SEED, device=device
        )

    def means(self, shots: Shots) -> np.ndarray:
        """Return λ [n, usable pixels] of shots with one exposure each: numpy, float64."""
        rotation = to_matrix(torch.from_numpy(shots.orientation.astype(float))).numpy()
        good = self.seen.good
        values = np.stack([look_up(self.volume, self.seen.s[good] @ R) for R in rotation])
        return shots.weight[:, None] * self.gain[good] * values


def prepare(arguments: argparse.Namespace) -> Experiment:
    """Build the intensity volume and calibrate the photons per pattern over 64 orientations."""
    instrument = preset(arguments.instrument)
    atoms = read_atoms(locate(arguments.structure), chains=arguments.chains)
    kept = dataclasses.replace(
        instrument.detector,
        s_min_per_angstrom=1 / atoms.diameter_angstrom,
        s_max_per_angstrom=1 / arguments.resolution,
    )
    seen = geometry(kept, instrument.beam)
    volume = intensity_spline(atoms, seen.s_max, instrument.beam.photon_energy_ev)
    unit = Experiment(
        volume=volume, seen=seen, gain=seen.gain, diameter_angstrom=atoms.diameter_angstrom
    )
    found = unit.means(hits(0, 64, _CONSTANT)).sum(axis=1).mean()
    return dataclasses.replace(unit, gain=seen.gain * arguments.photons / found)


def hits(first: int, n: int, recipe: ShotRecipe = _RECIPE) -> Shots:
    """Return shots ``first … first + n − 1`` of the recipe."""
    return draw_shots(recipe, _SEED, first, n)


def repeated(shot: Shots, n: int) -> Shots:
    """Return a single hit n times."""
    fields = (f.name for f in dataclasses.fields(Shots) if f.name != "offsets")
    return Shots(
        offsets=np.arange(n + 1), **{x: np.concatenate([getattr(shot, x)] * n) for x in fields}
    )


def check(experiment: Experiment, device: str) -> dict[str, float]:
    """Compare the device's photons with the CPU's expectation.

    Returns p-values, and the share of entries that differ from the torch draw on the CPU with the
    same seed. Raises :class:`UserError` if one of them says that the photons are wrong.
    """
    source, n, one = experiment.source(device), 20_000, hits(0, 1, _CONSTANT)
    mean, seen = experiment.means(one)[0], source.draw(repeated(one, n), 0)
    counts = np.bincount(seen.pixel, seen.count, len(experiment.gain))[experiment.seen.good]
    lit = n * mean > 10
    pixel = int(np.argmin(np.abs(mean - 0.5)))
    at_pixel = np.zeros(n, int)
    chosen = seen.pixel == experiment.seen.good[pixel]
    at_pixel[seen.rows()[chosen]] = seen.count[chosen]
    shots = hits(0, 256)
    drawn, expected = source.draw(shots, n), experiment.means(shots).sum(axis=1)
    found = {
        "mean pattern, chi-square": chi_square(counts[lit], n * mean[lit]),
        "counts of one pixel, chi-square": dispersion(at_pixel, mean[pixel]),
        "photons per pattern, chi-square": chi_square(drawn.totals(), expected),
    }
    wrong = [name for name, p in found.items() if p < _SIGNIFICANCE]
    reference = experiment.source("cpu").draw(shots, n)
    width = len(experiment.gain)
    entries = [
        set(zip(x.rows() * width + x.pixel, x.count, strict=True)) for x in (drawn, reference)
    ]
    found["share of entries unlike the CPU's"] = len(entries[0] ^ entries[1]) / len(entries[1])
    if wrong or found["share of entries unlike the CPU's"] > 1e-3:
        raise UserError(f"the photons drawn on {device} are wrong: {found}")
    return found


def chi_square(counts: np.ndarray, mean: np.ndarray) -> float:
    """Return the two-sided p-value of Σ (k − λ)²/λ for many Poisson counts of large mean."""
    statistic = float(((counts - mean) ** 2 / mean).sum())
    return 2 * min(stats.chi2.sf(statistic, len(mean)), stats.chi2.cdf(statistic, len(mean)))


def dispersion(counts: np.ndarray, mean: float) -> float:
    """Return the p-value of the numbers of 0, 1, 2 and more photons against Poisson."""
    observed = np.bincount(np.minimum(counts, 3), minlength=4)
    share = [*stats.poisson.pmf([0, 1, 2], mean), stats.poisson.sf(2, mean)]
    return float(stats.chisquare(observed, len(counts) * np.array(share)).pvalue)


def rate(draw: Callable[[Shots, int], Any], batch: int, device: torch.device) -> float:
    """Return patterns per second of repeated calls for ``batch`` shots, after a first one."""
    shots, calls = hits(0, batch), 0
    draw(shots, 0)
    wait(device)
    started = time.perf_counter()
    while time.perf_counter() - started < _AT_LEAST_S:
        calls += 1
        draw(shots, calls * batch)
        wait(device)
    return calls * batch / (time.perf_counter() - started)


def wait(device: torch.device) -> None:
    """Wait until the device has done what was asked."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def make_file(experiment: Experiment, arguments: argparse.Namespace) -> dict[str, float]:
    """Draw ``--patterns`` patterns and write them, each block while the next is drawn."""
    source, total, photons = experiment.source(arguments.device), arguments.patterns, 0
    beam = preset(arguments.instrument).beam
    started = time.perf_counter()
    writer = PatternWriter(
        arguments.out,
        detector=dataclasses.replace(experiment.seen, gain=experiment.gain),
        beam=beam,
        background=0.0,
        particle_diameter_angstrom=experiment.diameter_angstrom,
        provenance={"structure": arguments.structure},
    )
    written: Future[None] | None = None
    with writer, ThreadPoolExecutor(1) as thread:
        for first in range(0, total, arguments.batch):
            block = source.draw(hits(first, min(arguments.batch, total - first)), first)
            photons += int(block.count.sum())
            if written is not None:
                written.result()
            written = thread.submit(writer.append, block)
        if written is not None:
            written.result()
    seconds, size = time.perf_counter() - started, arguments.out.stat().st_size
    return {
        "patterns": total,
        "seconds": seconds,
        "patterns_per_s": total / seconds,
        "photons_per_pattern": photons / total,
        "file_gib": size / 2**30,
        "bytes_per_photon": size / photons,
        "peak_host_gib": machine.peak_gib(),
    }


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the experiment; print its tables; return its record."""
    device = choose_device(arguments.device)
    experiment = prepare(arguments)
    pixels = len(experiment.seen.good)
    print(f"{arguments.structure}: {experiment.volume.grid}³ voxels, {pixels} usable pixels")
    checks = check(experiment, arguments.device)
    for name, value in checks.items():
        print(f"  {name:40s} {value:10.3g}")
    source, rates = experiment.source(arguments.device), []
    print(f"{'batch':>8s} {'patterns/s, on the device':>26s} {'copied to the host':>20s}")
    for batch in _BATCHES:
        pair = [rate(draw, batch, device) for draw in (source.draw_on_device, source.draw)]
        rates.append({"batch": batch, "on_device": pair[0], "to_host": pair[1]})
        print(f"{batch:8d} {pair[0]:26.0f} {pair[1]:20.0f}")
    whole = make_file(experiment, arguments)
    for name, value in whole.items():
        print(f"  {name:40s} {value:10.4g}")
    settings = {name: str(value) for name, value in vars(arguments).items()}
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": checkout_commit(),
        "versions": machine.versions(),
        "hardware": dataclasses.asdict(machine.hardware(arguments.device)),
        "settings": settings,
        "voxels_per_edge": experiment.volume.grid,
        "usable_pixels": pixels,
        "checks": checks,
        "draw_patterns_per_s": rates,
        "whole": whole,
    }


def main() -> None:
    """Read the command line; exit code 2 and one line for what a user can mend."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--structure", default="4v6x")
    parser.add_argument("--chains", default="*")
    parser.add_argument("--instrument", default="xrai2025")
    parser.add_argument("--resolution", type=float, default=18.0, help="kept range, Å")
    parser.add_argument("--photons", type=float, default=1000.0, help="per pattern, kept range")
    parser.add_argument("--patterns", type=int, default=5_000_000)
    parser.add_argument("--batch", type=int, default=8192, help="patterns per block of the file")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, required=True, help="the pattern file")
    parser.add_argument("--record", type=Path, required=True, help="a JSON file")
    arguments = parser.parse_args()
    try:
        record = measure(arguments)
        write_text(arguments.record, to_json(record, indent=1) + "\n")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
