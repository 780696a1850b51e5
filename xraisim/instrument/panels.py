"""Flat panels in space: where their pixels are and what solid angle each covers."""

import math
from dataclasses import dataclass

import numpy as np

from xraisim.core.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A flat grid of pixels, anywhere and at any angle.

    ``corner_mm`` is the outer corner of pixel (0, 0): x and y in the lab frame, z downstream from
    the plane at the detector's distance. ``fs_mm`` leads from one column to the next (fast scan),
    ``ss_mm`` from one row to the next (slow scan); both x, y, z in mm. Raises :class:`ConfigError`.
    """

    name: str
    rows: int
    columns: int
    corner_mm: tuple[float, ...]
    fs_mm: tuple[float, ...]
    ss_mm: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise ConfigError(
                f"panel {self.name!r} has {self.rows} × {self.columns} pixels; it needs one or more"
            )
        for key in ("corner_mm", "fs_mm", "ss_mm"):
            vector = getattr(self, key)
            if len(vector) != 3 or not all(math.isfinite(value) for value in vector):
                raise ConfigError(
                    f"{key} of panel {self.name!r} is {vector}; expected x, y, z in mm"
                )
        if not np.linalg.norm(self.area_mm2) > 0:
            raise ConfigError(
                f"pixels of panel {self.name!r} have no area: fs {self.fs_mm} and ss {self.ss_mm} "
                "must point in different directions"
            )

    def __len__(self) -> int:
        return self.rows * self.columns

    @property
    def area_mm2(self) -> np.ndarray:
        """Vector area fs × ss of a pixel, float64 [3], mm²: along the panel's normal."""
        return np.cross(self.fs_mm, self.ss_mm)

    def positions_mm(self, distance_mm: float) -> np.ndarray:
        """Return the pixel centres in the lab frame, float64 [rows·columns, 3], mm, row by row."""
        corner, fs, ss = np.array(self.corner_mm), np.array(self.fs_mm), np.array(self.ss_mm)
        middle = corner + 0.5 * self.columns * fs + 0.5 * self.rows * ss
        # Steps are counted from the middle, so that a centred panel is exactly symmetric.
        column = (np.arange(self.columns) - (self.columns - 1) / 2)[:, None] * fs
        row = (np.arange(self.rows) - (self.rows - 1) / 2)[:, None] * ss
        position = row[:, None] + column + (middle + np.array([0.0, 0.0, distance_mm]))
        return position.reshape(-1, 3)

    def binned(self, factor: int) -> "Panel":
        """Return the panel with ``factor`` × ``factor`` pixels in one.

        Rows and columns left over at the end are dropped. Raises :class:`ConfigError` if nothing
        is left.
        """
        return Panel(
            name=self.name,
            rows=self.rows // factor,
            columns=self.columns // factor,
            corner_mm=self.corner_mm,
            fs_mm=tuple(factor * value for value in self.fs_mm),
            ss_mm=tuple(factor * value for value in self.ss_mm),
        )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The panels of a detector; the flat pixel index runs through them one after another.

    ``distance_mm`` is where z of the panels counts from; ``bad`` bool [P] marks pixels that the
    source of the layout calls bad.
    """

    panels: tuple[Panel, ...]
    distance_mm: float
    bad: np.ndarray

    @property
    def shape(self) -> tuple[int, int]:
        """Rows of all panels and columns; (1, P) if the panels differ in columns."""
        columns = {panel.columns for panel in self.panels}
        pixels = sum(len(panel) for panel in self.panels)
        return (
            (pixels // columns.pop(), self.panels[0].columns) if len(columns) == 1 else (1, pixels)
        )

    @property
    def panel(self) -> np.ndarray:
        """Panel number of every pixel, int32 [P]."""
        lengths = [len(panel) for panel in self.panels]
        return np.repeat(np.arange(len(self.panels), dtype=np.int32), lengths)

    def split(self, values: np.ndarray) -> list[np.ndarray]:
        """Cut an array [P, …] into one view [rows, columns, …] per panel."""
        ends = np.cumsum([len(panel) for panel in self.panels])[:-1]
        return [
            part.reshape(panel.rows, panel.columns, *values.shape[1:])
            for panel, part in zip(self.panels, np.split(values, ends), strict=True)
        ]

    def positions_mm(self) -> np.ndarray:
        """Return the pixel centres in the lab frame, float64 [P, 3], mm."""
        return np.concatenate([panel.positions_mm(self.distance_mm) for panel in self.panels])

    def solid_angles(self, position_mm: np.ndarray) -> np.ndarray:
        """Return the solid angle of every pixel at ``position_mm`` [P, 3], float64 [P], sr."""
        parts = self.split(position_mm)
        return np.concatenate(
            [
                solid_angles(part.reshape(-1, 3), panel.area_mm2)
                for panel, part in zip(self.panels, parts, strict=True)
            ]
        )

    def largest_step(self, s: np.ndarray) -> float:
        """Return the largest |Δs| between neighbouring pixels of a panel; ``s`` [P, 3] in Å⁻¹."""
        steps = [
            float(np.linalg.norm(np.diff(part, axis=axis), axis=-1).max(initial=0.0))
            for part in self.split(s)
            for axis in (0, 1)
        ]
        return max(steps)

    def bin_mask(self, mask: np.ndarray, factor: int) -> np.ndarray:
        """Return a mask bool [P] for the binned pixels: set if it is for any pixel that went in."""
        parts = []
        for panel, part in zip(self.panels, self.split(mask), strict=True):
            rows, columns = panel.rows // factor, panel.columns // factor
            whole = part[: rows * factor, : columns * factor]
            parts.append(whole.reshape(rows, factor, columns, factor).any(axis=(1, 3)).reshape(-1))
        return np.concatenate(parts)

    def binned(self, factor: int) -> "Layout":
        """Return the layout with ``factor`` × ``factor`` pixels of each panel in one."""
        return Layout(
            panels=tuple(panel.binned(factor) for panel in self.panels),
            distance_mm=self.distance_mm,
            bad=self.bin_mask(self.bad, factor),
        )


def solid_angles(position_mm: np.ndarray, area_mm2: np.ndarray) -> np.ndarray:
    """Return |A·r|/ρ³ in sr, for small pixels of vector area A [3] (mm²) at r [P, 3] (mm)."""
    rho = np.linalg.norm(position_mm, axis=1)
    return np.abs(position_mm @ area_mm2) / rho**3
