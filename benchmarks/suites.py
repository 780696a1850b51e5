"""The suites: what each group of tasks asks, and what its tasks state of themselves."""

from collections.abc import Iterator

from benchmarks.task import Task, load_task, task_names

#: the question of every suite (a folder of ``benchmarks/tasks``), in the order of reading
SUITES = {
    "quick": "How good is a method within minutes? For the front door.",
    "regression": "Has a change made anything worse? Watched, with bands over seeds.",
    "full-detector": "How far does a method get on the whole detector, with less light and a "
    "smaller particle?",
    "published": "How does a method compare with what was published, and does it gain from ten "
    "and a hundred times the patterns? Two particles, 128 × 128 and 64 × 64 pixels.",
    "photon-ladder": "How few photons are enough? One particle, six fluences, to 40 Å, where even "
    "at the lowest the data end before the oracle does: what tells methods apart is where one "
    "falls short of the edge, its pose errors and its outermost shells.",
    "symmetry": "Is a symmetry used where it is given, and does a nearly symmetric particle keep "
    "its difference?",
    "nuisances": "What does each trouble of an experiment cost? One change of quick each.",
    "bodies": "Particles without atoms, as in published experiments.",
}
HEADINGS = (
    "task",
    "version",
    "patterns",
    "photons",
    "beyond s·D = 1.2",
    "minutes of xrai",
    "what it is",
)


def rows(suite: str) -> Iterator[tuple[str, ...]]:
    """Yield what is stated of each task of a suite, under ``HEADINGS``.

    ``photons`` are means per pattern, of all and of those beyond s·D = 1.2; the minutes are
    those of the reconstruction by method ``xrai`` on two cores.
    """
    for task in sorted(map(load_task, task_names(suite)), key=_order):
        yield (
            task.name,
            str(task.version),
            f"{task.simulate.patterns:,}",
            *(_photons(value) for value in (task.photons_per_pattern, task.photons_beyond)),
            f"{task.xrai_minutes:g}" if task.xrai_minutes else "unknown",
            task.summary,
        )


def _order(task: Task) -> tuple[str, int, float, str]:
    """Return the order of reading: a series by its patterns, then from bright to dim."""
    series = task.name.rsplit("-", 1)[0]
    return series, task.simulate.patterns, -task.simulate.beam.photons_per_pulse, task.name


def _photons(value: float) -> str:
    if not value:
        return "not stated"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
