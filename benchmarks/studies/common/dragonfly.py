"""An environment into which dragonfly-spi is installed: its programs as measured commands."""

from pathlib import Path

from baselines.external.dragonfly import program
from benchmarks.studies.common.measured_command import Measured, measure, thread_limit

# mpi4py, which it imports, does not start as root without these two.
_AS_ROOT = {f"OMPI_ALLOW_RUN_AS_ROOT{end}": "1" for end in ("", "_CONFIRM")}


class Environment:
    """The programs in the directory ``programs``, with ``threads`` each.

    ``emc``: its reconstruction. Raises :class:`.NotInstalledError` if they are not there.
    """

    def __init__(self, programs: Path, threads: int) -> None:
        self.emc, self.threads = program.find_program(str(programs)), threads

    @property
    def version(self) -> str:
        """The version of dragonfly-spi."""
        return program.version(self.emc)

    @property
    def package(self) -> Path:
        """Its Python package, with its tables and the configuration it is shipped with."""
        asked = "import dragonfly; print(dragonfly.__path__[0])"
        said = measure([self.emc.parent / "python", "-c", asked], environment=_AS_ROOT)
        return Path(said.stdout.strip())

    def run(self, step: str, folder: Path) -> Measured:
        """Run one of its ``utils`` on ``config.ini`` in ``folder``."""
        return measure(
            [self.emc.parent / f"dragonfly.utils.{step}", "-c", "config.ini", "-y"],
            directory=folder,
            environment=thread_limit(self.threads) | _AS_ROOT,
        )
