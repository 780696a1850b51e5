"""cuphaser's iterations, timed: run by the Python that has it, with a problem's directory.

``python cuphaser_driver.py DIRECTORY ITERATIONS``: the directory holds what
:mod:`benchmarks.studies.phasing.cuphaser_peer` wrote. Prints one line of JSON. Nothing of X-RAI is
imported, since the other environment does not have it.
"""

import json
import os
import sys
import time


def main() -> None:
    """Iterate, and print what it took."""
    directory, iterations = sys.argv[1], int(sys.argv[2])
    os.chdir(directory)
    from importlib.metadata import version  # after the change of directory, as its wisdom lies here

    from cuphaser.phaser import PYFFTW, Phaser  # type: ignore[import-not-found]

    phaser = Phaser("config.ini", fixed_seed=True)
    for number in range(2):  # plans and first touches
        phaser.run_iteration(number + 1)
    wall, cpu = time.perf_counter(), time.process_time()
    for number in range(iterations):
        phaser.run_iteration(number + 3)
    figures = {
        "iterations": iterations,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": time.process_time() - cpu,
        "version": version("cuphaser"),
        "transforms": "pyFFTW" if PYFFTW else "numpy",
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
