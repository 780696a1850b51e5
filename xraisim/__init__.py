"""Simulate X-ray single particle imaging, read what was measured, and the mathematics of both.

What is listed in ``__all__`` is public, and loaded when it is asked for.
"""

import os
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from xraisim.public import lazy

# torch's threads otherwise spin while they wait for one another, which on a shared machine takes
# the cores from whoever would finish the work (measured: four times the CPU time, three times the
# wall time). OpenMP reads this when torch is first imported, so all packages import this one first.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

try:
    __version__ = version("x-rai")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"

if TYPE_CHECKING:
    from xraisim.core import rotations as rotations
    from xraisim.core.align import align_density as align_density
    from xraisim.core.align import align_intensity as align_intensity
    from xraisim.core.align import rotate_volume as rotate_volume
    from xraisim.core.align_poses import align_poses as align_poses
    from xraisim.core.closed_form import ClosedFormConfig as ClosedFormConfig
    from xraisim.core.closed_form import volume_from_sums as volume_from_sums
    from xraisim.core.fourier import to_structure_factors as to_structure_factors
    from xraisim.core.fsc import Resolution as Resolution
    from xraisim.core.fsc import first_crossing as first_crossing
    from xraisim.core.fsc import fsc as fsc
    from xraisim.core.fsc import intensity_correlation as intensity_correlation
    from xraisim.core.likelihood import candidate_loglik as candidate_loglik
    from xraisim.core.likelihood import pose_scores as pose_scores
    from xraisim.core.merge import Accumulator as Accumulator
    from xraisim.core.merge import intensity_grid as intensity_grid
    from xraisim.core.radial import shell_s as shell_s
    from xraisim.core.sampling import insert_slices as insert_slices
    from xraisim.core.sampling import slice_volume as slice_volume
    from xraisim.core.so3 import in_plane_mate as in_plane_mate
    from xraisim.core.symmetry import angle_modulo_mate as angle_modulo_mate
    from xraisim.core.symmetry import point_group as point_group
    from xraisim.core.types import PatternSource as PatternSource
    from xraisim.core.types import Photons as Photons
    from xraisim.core.types import Pixels as Pixels
    from xraisim.core.types import Volume as Volume
    from xraisim.files.patterns import PatternReader as PatternReader
    from xraisim.files.poses import read_poses as read_poses
    from xraisim.files.poses import write_poses as write_poses
    from xraisim.files.result import Result as Result
    from xraisim.files.result import read_result as read_result
    from xraisim.files.result import write_result as write_result
    from xraisim.files.volumes import read_volume as read_volume
    from xraisim.files.volumes import write_volume as write_volume
    from xraisim.formats.convert import convert as convert
    from xraisim.formats.experiment import ExperimentConfig as ExperimentConfig
    from xraisim.simulation.config import SimulationConfig as SimulationConfig
    from xraisim.simulation.make import simulate as simulate
    from xraisim.simulation.stream import stream as stream
    from xraisim.simulation.stream import stream_with_truth as stream_with_truth

__getattr__, __all__ = lazy(
    "xraisim",
    {
        "Accumulator": "xraisim.core.merge",
        "ClosedFormConfig": "xraisim.core.closed_form",
        "ExperimentConfig": "xraisim.formats.experiment",
        "PatternReader": "xraisim.files.patterns",
        "PatternSource": "xraisim.core.types",
        "Photons": "xraisim.core.types",
        "Pixels": "xraisim.core.types",
        "Resolution": "xraisim.core.fsc",
        "Result": "xraisim.files.result",
        "SimulationConfig": "xraisim.simulation.config",
        "Volume": "xraisim.core.types",
        "align_density": "xraisim.core.align",
        "align_intensity": "xraisim.core.align",
        "align_poses": "xraisim.core.align_poses",
        "angle_modulo_mate": "xraisim.core.symmetry",
        "candidate_loglik": "xraisim.core.likelihood",
        "convert": "xraisim.formats.convert",
        "first_crossing": "xraisim.core.fsc",
        "fsc": "xraisim.core.fsc",
        "in_plane_mate": "xraisim.core.so3",
        "insert_slices": "xraisim.core.sampling",
        "intensity_correlation": "xraisim.core.fsc",
        "intensity_grid": "xraisim.core.merge",
        "point_group": "xraisim.core.symmetry",
        "pose_scores": "xraisim.core.likelihood",
        "read_poses": "xraisim.files.poses",
        "read_result": "xraisim.files.result",
        "read_volume": "xraisim.files.volumes",
        "rotate_volume": "xraisim.core.align",
        "rotations": "xraisim.core.rotations:",
        "shell_s": "xraisim.core.radial",
        "simulate": "xraisim.simulation.make",
        "slice_volume": "xraisim.core.sampling",
        "stream": "xraisim.simulation.stream",
        "stream_with_truth": "xraisim.simulation.stream",
        "to_structure_factors": "xraisim.core.fourier",
        "volume_from_sums": "xraisim.core.closed_form",
        "write_poses": "xraisim.files.poses",
        "write_result": "xraisim.files.result",
        "write_volume": "xraisim.files.volumes",
    },
)
