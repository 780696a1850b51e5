"""Volumes from the same sums compared: plain merge, closed forms, implicit networks.

``python -m benchmarks.studies.decoder.forms --out runs/decoder_forms.json``; the
networks with ``--networks``, into a record of their own.

Patterns in the geometry of `quick` at their true orientations, or 1° off, with less and less light.
Judged by the correlation with the true intensity in shells, and by the log-likelihood of patterns
that were not merged, at their true orientations, relative to that of the truth on the same grid.
"""

from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any

import torch
import typer

from benchmarks.studies.common import study_record
from benchmarks.studies.decoder.data import OVERSAMPLING, PARTICLES, Truth, correlation, simulate
from xrai.decoder import (
    DecoderConfig,
    FitConfig,
    ImplicitDecoder,
    VolumeConfig,
    fit_sums,
    profile_of,
)
from xraisim import console
from xraisim.core.closed_form import for_look_up, volume_from_sums
from xraisim.core.merge import Accumulator
from xraisim.core.random import generator
from xraisim.core.types import Volume

HELD_OUT = 512
#: fluence relative to `quick`, patterns, pose error in degrees
SETTINGS = ((1.0, 8000, 0.0), (1.0, 8000, 1.0), (0.3, 8000, 0.0), (0.3, 8000, 1.0),
            (0.1, 8000, 0.0), (0.1, 8000, 1.0), (0.1, 1000, 0.0))  # fmt: skip
SHELLS_ANGSTROM = ((60.0, 30.0), (30.0, 20.0), (20.0, 16.0))
PRIOR = 0.02
NETWORKS = {
    "fourier": DecoderConfig(features=192, width=160, oversampling=OVERSAMPLING),
    "siren": DecoderConfig(form="siren", features=192, width=160, oversampling=OVERSAMPLING),
    "hash": DecoderConfig(form="hash", features=32, width=64, oversampling=OVERSAMPLING),
}
RATES = {"fourier": 3e-3, "siren": 1e-3, "hash": 1e-2}

NETWORKS_ON = {("50S", 1.0, 0.0), ("50S", 0.1, 0.0)}  # a fit takes a hundred times as long

Method = Callable[[Accumulator, Truth], Volume]


def main(
    out: Path | None = None, networks: bool = False, steps: int = 100, threads: int = 1
) -> None:
    """Print the table and keep it: of closed forms, or of ``networks`` fitted in ``steps``."""
    torch.set_num_threads(threads)
    record: dict[str, Any] = {**study_record.circumstances(), "steps": steps, "rows": []}
    console.say(study_record.heading("Volumes from sums", record))
    for particle in PARTICLES:
        for fluence in sorted({one[0] for one in SETTINGS}, reverse=True):
            truth, used, held_out = simulate(particle, fluence, 8000, HELD_OUT)
            best = held_out.loglik(truth.volume)
            for _, patterns, error_deg in (one for one in SETTINGS if one[0] == fluence):
                sums = used.sums(truth, patterns, error_deg)
                if networks and (particle, fluence, error_deg) not in NETWORKS_ON:
                    continue
                methods = _networks(steps) if networks else _closed_forms()
                about = {"particle": particle, "fluence": fluence, "patterns": patterns,
                         "error_deg": error_deg}  # fmt: skip
                for name, method in methods.items():
                    volume, measured = _measured(method, sums, truth)
                    row = about | {"method": name} | measured
                    row["loglik_below_truth"] = round(best - held_out.loglik(volume), 3)
                    record["rows"].append(row)
                    console.say(_line(row))
                    if out is not None:
                        study_record.write(out, record)


def _closed_forms() -> dict[str, Method]:
    def filtered(spectrum: str) -> Method:
        config = VolumeConfig(spectrum=spectrum)
        return lambda sums, truth: volume_from_sums(sums, truth.diameter_angstrom, config)

    def looked_up(sums: Accumulator, truth: Truth) -> Volume:
        volume = volume_from_sums(sums, truth.diameter_angstrom, VolumeConfig())
        return for_look_up(volume, truth.diameter_angstrom)

    return {
        "merge": lambda sums, truth: sums.volume(PRIOR),
        "ball": filtered("ball"),
        "overlap": filtered("overlap"),
        "measured": filtered("measured"),
        "measured, for look-up": looked_up,
    }


def _networks(steps: int) -> dict[str, Method]:
    def fitted(form: str) -> Method:
        def method(sums: Accumulator, truth: Truth) -> Volume:
            decoder = ImplicitDecoder(
                NETWORKS[form],
                truth.diameter_angstrom,
                truth.s_range[1],
                profile_of(sums),
                generator(0, "decoder"),
            )
            config = FitConfig(steps=steps, batch=8192, learning_rate=RATES[form])
            fit_sums(decoder, sums, config, generator(0, "fit"))
            return decoder.volume()

        return method

    return {form: fitted(form) for form in NETWORKS}


def _measured(method: Method, sums: Accumulator, truth: Truth) -> tuple[Volume, dict[str, float]]:
    began = process_time()
    volume = method(sums, truth)
    seconds = process_time() - began
    s, curve = correlation(volume, truth)
    bands = {
        f"icc_{low:g}_{high:g}": round(float(curve[(s >= 1 / low) & (s < 1 / high)].mean()), 4)
        for low, high in SHELLS_ANGSTROM
    }
    return volume, {"cpu_s": round(seconds, 2), **bands}


def _line(row: dict[str, Any]) -> str:
    bands = "  ".join(f"{row[f'icc_{low:g}_{high:g}']:.4f}" for low, high in SHELLS_ANGSTROM)
    return (
        f"{row['particle']} ×{row['fluence']:g} {row['patterns']:5d} {row['error_deg']:g}°  "
        f"{row['method']:22s} {bands}  −{row['loglik_below_truth']:.2f} nats  {row['cpu_s']:.2f} s"
    )


if __name__ == "__main__":
    typer.run(main)
