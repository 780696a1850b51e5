"""What the processors use, by the counters that Linux shows of them (RAPL), where it may be read.

``/sys/class/powercap/intel-rapl:N`` is a package, of Intel and of AMD alike: all cores and what
else is in it, whoever keeps them busy. Memory, GPUs and the rest of the machine are not in it. The
counters are µJ and begin again at ``max_energy_range_uj``, after minutes on a busy machine, so that
they are read again and again. Most systems let only their administrator read them.
"""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POWERCAP = Path("/sys/class/powercap")
_PACKAGE = re.compile(r"intel-rapl:\d+")  # intel-rapl:0:0 is a part of the package 0
_POLL_S = 20.0  # 65 kJ, the shortest range that is known, last two minutes at 500 W


class Energy:
    """Joules that the packages used since this was made: the sum at the last :meth:`count`."""

    def __init__(self, powercap: Path = POWERCAP) -> None:
        """Begin to count the packages below ``powercap``."""
        packages = [
            zone
            for zone in sorted(powercap.glob("intel-rapl:*"))
            if _PACKAGE.fullmatch(zone.name) and _text(zone / "name").startswith("package")
        ]
        ranges = {zone: _number(zone / "max_energy_range_uj") for zone in packages}
        last = {zone: _number(zone / "energy_uj") for zone in packages}
        self._range_uj = {zone: most for zone, most in ranges.items() if most is not None}
        self._last_uj = {zone: now for zone, now in last.items() if now is not None}
        self._sum_uj = 0
        self._whole = len(self._range_uj) == len(self._last_uj) == len(packages) > 0

    @property
    def joule(self) -> float | None:
        """The sum so far; None where a counter is missing or could not be read."""
        return self._sum_uj / 1e6 if self._whole else None

    def count(self) -> None:
        """Read the counters; it must not be longer since the last time than their range lasts."""
        if not self._whole:
            return
        for zone, last in self._last_uj.items():
            now = _number(zone / "energy_uj")
            if now is None:
                self._whole = False
                return
            used = now - last
            self._sum_uj += used if used >= 0 else used + self._range_uj[zone]
            self._last_uj[zone] = now


@contextmanager
def measured(powercap: Path = POWERCAP) -> Iterator[Energy]:
    """Count what is used inside; its ``joule`` is whole when the block has ended."""
    energy, done = Energy(powercap), threading.Event()
    watching = threading.Thread(target=_watch, args=(energy, done), daemon=True)
    if energy.joule is not None:
        watching.start()
    try:
        yield energy
    finally:
        done.set()
        if watching.ident is not None:
            watching.join()
        energy.count()


def _watch(energy: Energy, done: threading.Event) -> None:
    while not done.wait(_POLL_S):
        energy.count()


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
