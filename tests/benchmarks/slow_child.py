"""What stands in for the process of a run: light, so that it is there at once.

Its method takes a minute, unless its name has `quick`; one with `leaves` has a result by then.
"""

import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path


@dataclass(frozen=True)
class Job:
    """What a budget needs to know of a job."""

    method: str
    directory: Path
    budget_s: float | None
    took_s: float | None = None


def child_main(job: Job, sender: Connection) -> None:
    """Tell what the process of a run tells, a tuple in place of its record."""
    if job.took_s is not None:
        sender.send(("scored", job.took_s))
        return
    sender.send("begun")
    if "leaves" in job.method:
        (job.directory / "result.json").write_text("{}")
    time.sleep(0.01 if "quick" in job.method else 60)
    sender.send("made")
    time.sleep(1.0)  # phasing and scoring are not of the budget
    sender.send(("in time",))
