"""A phasing problem as cuphaser reads it: intensity and support as MRC maps, and its settings."""

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from benchmarks.studies.common.measured_command import measure, thread_limit

#: our names and theirs
ALGORITHMS = {"er": "ER", "hio": "HIO", "raar": "RAAR", "dm": "DM"}
_SETTINGS = """[parameters]
size = {grid}
num_threads = {threads}

[files]
intens_fname = intensity.mrc
support_fname = support.mrc
output_prefix = out

[algorithm]
algorithm = {iterations} {algorithm}
beta = {beta}
positivity = True
real_valued = True
"""


def write_problem(
    directory: Path,
    intensity: np.ndarray,
    support: np.ndarray,
    algorithm: str,
    iterations: int,
    beta: float,
    threads: int,
) -> None:
    """Write centred cubes [N, N, N] and settings into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    maps = {"intensity": intensity.astype(np.float32), "support": support.astype(np.int8)}
    for name, values in maps.items():
        with mrcfile.new(directory / f"{name}.mrc", overwrite=True) as file:
            file.set_data(values)
    (directory / "config.ini").write_text(
        _SETTINGS.format(
            grid=len(intensity),
            threads=threads,
            iterations=iterations + 2,
            algorithm=ALGORITHMS[algorithm],
            beta=beta,
        )
    )


def run(python: Path, directory: Path, iterations: int, threads: int) -> dict[str, Any]:
    """Return what ``cuphaser_driver.py`` measured on the problem in ``directory``."""
    driver = Path(__file__).with_name("cuphaser_driver.py")
    done = measure(
        [python, driver, directory.resolve(), str(iterations)], environment=thread_limit(threads)
    )
    return done.figures()
