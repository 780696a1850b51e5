"""``python -m tests.fuzz --cases 100000``: damage what is read, and count what ends how.

``--reader NAME --only NUMBER`` does one case again here, with its traceback, and keeps its file.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"  # before NumPy and torch: processes with threads must not fork

from tests.fuzz import campaign, samples
from tests.fuzz.readers import ALL, READERS
from tests.fuzz.worker import damaged, read_case


def main() -> int:
    """Return 1 if a case failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="for each reader")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="for all readers")
    parser.add_argument("--bound-mib", type=int, default=1024, help="of memory")
    parser.add_argument("--reader", action="append", choices=list(ALL), help="default: all")
    parser.add_argument("--only", type=int, help="do this case, here")
    parser.add_argument("--json", type=Path, help="where to write the summary")
    asked = parser.parse_args()
    readers = tuple(asked.reader or READERS)
    if asked.only is not None:
        return _again(readers[0], asked.seed, asked.only)
    wanted = campaign.Campaign(
        readers=readers, cases=asked.cases, first=asked.first, seed=asked.seed,
        minutes=asked.minutes, bound_mib=asked.bound_mib,
    )  # fmt: skip
    found = campaign.run(wanted, lambda text: print(text, file=sys.stderr, flush=True))
    if asked.json:
        asked.json.write_text(json.dumps(campaign.summary(wanted, found), indent=1) + "\n")
    print(campaign.table(found))
    failures = [(one.reader, failure) for one in found.values() for failure in one.failures]
    for reader, failure in failures:
        print(f"--reader {reader} --only {failure['case']}: {failure['error']} in "
              f"{failure['where']}: {failure['text']}")  # fmt: skip
    return 1 if failures else 0


def _again(name: str, seed: int, number: int) -> int:
    """Do one case in this process; an error that is not ours comes through."""
    reader = ALL[name]
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        samples.write_all(Path())
        path = Path(reader.sample)
        data = damaged(name, path.read_bytes(), seed, number)
        kept = Path(tempfile.gettempdir()) / f"case-{number}-{path.name}"
        kept.write_bytes(data)
        print(f"{kept}: {len(data)} bytes")
        print(read_case(reader, path, data))
    return 0


if __name__ == "__main__":
    sys.exit(main())
