"""Measure what every compiled loop gains over its plain form, call by call in turns.

    python -m benchmarks.studies.kernels.pairs --out runs/kernels.json

Times on a busy machine say little, ratios of calls that followed each other more: the record has
the median of the pairs' ratios, plain form over loop, and half the distance of their quartiles.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.studies.common.study_record import circumstances, conclude, heading, parser, table
from benchmarks.studies.kernels.cases import Case, Pair, load
from benchmarks.studies.kernels.comparison import Change, compare


def main() -> None:
    """Measure, write the record, print the table."""
    made = parser(__doc__)
    made.add_argument("--pairs", type=int, default=5, help="calls of each form; default: 5")
    said = made.parse_args()
    record: dict[str, Any] = {**circumstances(), "pairs": said.pairs}
    cases = ((case, case.make(case.size)) for case in load().values())
    found = [_gain(case, pair, said.pairs) for case, pair in cases if pair.reference]
    record["cases"] = [
        {
            "case": change.name,
            "loop_s": change.base_s,
            "plain_s": change.head_s,
            "plain_over_loop": change.ratio,
            "spread": change.spread,
        }
        for change in found
    ]
    title = heading("compiled loops and plain forms", record)
    names = ["case", "loop ms", "plain ms", "plain/loop", "spread"]
    conclude(said.out, record, table(title, names, [_row(change) for change in found]))


def _row(change: Change) -> list[str]:
    return [
        change.name, f"{1e3 * change.base_s:.1f}", f"{1e3 * change.head_s:.1f}",
        f"{change.ratio:.1f}", f"± {change.spread:.1f}",
    ]  # fmt: skip


def _gain(case: Case, pair: Pair, pairs: int) -> Change:
    """Return how much longer the plain form takes, after one call of each."""
    assert pair.reference is not None
    runs = [(_seconds(pair, pair.fast), _seconds(pair, pair.reference)) for _ in range(pairs + 1)]
    loop, plain = zip(*runs[1:], strict=True)
    (change,) = compare([{case.name: t} for t in loop], [{case.name: t} for t in plain]).changes
    return change


def _seconds(pair: Pair, form: Callable[..., Any]) -> float:
    arguments = pair.arguments()
    began = time.perf_counter()
    form(*arguments)
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
