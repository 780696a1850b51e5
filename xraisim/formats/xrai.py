"""Our own pattern file, as one format among the others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from xraisim.core.errors import ConfigError
from xraisim.files.held import read_whole
from xraisim.files.patterns import PatternReader, PatternWriter
from xraisim.files.texts import plain
from xraisim.formats.base import ANYTHING, Append, Source, Target, Wanted
from xraisim.formats.known import Experiment, Known
from xraisim.instrument.beam import Beam
from xraisim.instrument.detector import Geometry, square_pixel_step


def open_xrai(path: Path, wanted: Wanted = ANYTHING) -> Source:
    """Open a pattern file of ``xrai-sim make`` or of an earlier conversion."""
    reader = PatternReader(path)
    try:
        experiment = _experiment(reader)
    except BaseException:
        reader.close()
        raise
    known = Known(
        pixels=len(experiment.detector.mask), shape=reader.detector_shape, experiment=experiment
    )
    return Source(
        path=path,
        patterns=reader.n_patterns,
        known=known,
        read=reader.read_raw,
        close=reader.close,
    )


def _experiment(reader: PatternReader) -> Experiment:
    with h5py.File(reader.files[0], "r") as file:
        group = file["detector"]
        detector = Geometry(
            shape=reader.detector_shape,
            position_mm=read_whole(group["position"]).astype(float),
            s=read_whole(group["s"]).astype(float),
            solid_angle_sr=read_whole(group["solid_angle"]).astype(float),
            polarisation=read_whole(group["polarisation"]).astype(float),
            gain=read_whole(group["gain"]).astype(float),
            panel=read_whole(group["panel"]),
            s_step=square_pixel_step(
                read_whole(group["solid_angle"]), reader.info["wavelength_angstrom"]
            ),
            reasons=read_whole(group["mask"]),
        )
        background = read_whole(group["background"]).astype(float)
        polarisation = str(plain(file["beam"].attrs["polarisation"]))
    beam = Beam(
        photon_energy_ev=reader.info["photon_energy_ev"],
        # a focus of 1 µm² makes the photons per pulse the fluence
        photons_per_pulse=reader.info["fluence_photons_per_um2"],
        focus_radius_um=float(1 / np.sqrt(np.pi)),
        polarisation=polarisation,
    )
    return Experiment(
        detector=detector,
        beam=beam,
        background=background,
        particle_diameter_angstrom=reader.info["particle_diameter_angstrom"],
    )


@contextmanager
def create_xrai(path: Path, target: Target) -> Iterator[Append]:
    """Create a pattern file; photons on masked pixels must have been taken out."""
    experiment = target.experiment
    if experiment is None:
        raise ConfigError("a pattern file needs to know beam and detector")
    diameter = experiment.particle_diameter_angstrom
    if diameter is None:
        raise ConfigError(
            "the particle's diameter is not in the file; give an estimate with --diameter (Å) or "
            "as particle_diameter_angstrom in --config: it sets the support and the sampling"
        )
    with PatternWriter(
        path,
        detector=experiment.detector,
        beam=experiment.beam,
        background=experiment.background,
        particle_diameter_angstrom=diameter,
        provenance=target.provenance,
    ) as writer:
        yield writer.append
