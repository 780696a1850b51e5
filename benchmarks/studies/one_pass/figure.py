"""Plot what `run.py` recorded of passes that read every pattern once: pose error against time.

    python -m benchmarks.studies.one_pass.figure amortised.json hybrid.json emc.json \\
        --out one_pass.png

A line per seed, a point per round: the median error, modulo the near-symmetric mate, of the
patterns that were new in it. A run of EMC is one point: all its patterns, when it ends.
"""

import json
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.studies.common import study_record

_COLOURS = {"amortised": "#1f5fa8", "hybrid": "#c8641e", "emc": "#3c8c3c"}


def draw(records: list[dict[str, Any]], out: Path) -> None:
    """Draw the runs of all records into one figure."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    named: set[str] = set()
    for run in (run for record in records for run in record["runs"]):
        mode, points = run["mode"], run["rounds_online"]
        title, size = f"mode {mode}", 2.5
        if mode == "emc":
            title, size = f"EMC, {run['patterns']:,} patterns", 6
            points = [(run["seconds"], run["patterns"], *run["last_error_deg"])]
        seconds, _, median, _ = zip(*points, strict=True)
        label = None if title in named else title
        axes.plot(seconds, median, "o-", ms=size, lw=1, color=_COLOURS.get(mode), label=label)
        named.add(title)
    least = records[0]["runs"][0]["reference_error_deg"]
    axes.axhline(least, color="0.5", lw=0.8, ls="--", label="from the true poses")
    axes.set(
        xlabel="time since the patterns were opened (s)",
        ylabel="pose error of new patterns, median (°)",
        yscale="log",
        xlim=(0, None),
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter("{x:.1g}")
    axes.legend(frameon=False)
    figure.savefig(out, dpi=150)


def main() -> None:
    """Read records and write the figure."""
    parser = study_record.parser(__doc__)
    parser.add_argument("records", type=Path, nargs="+")
    said = parser.parse_args()
    draw([json.loads(one.read_text()) for one in said.records], said.out)


if __name__ == "__main__":
    main()
