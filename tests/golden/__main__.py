"""Make the expected results anew and print what differs; see docs/explanation/guarding.md for when.

``python -m tests.golden`` makes all, with names only those; ``--check`` changes nothing.
"""

import argparse
import tempfile
from pathlib import Path

import xraisim  # noqa: F401  (before torch's first work: it sets how threads wait)
from tests.golden import store
from tests.golden.cases import CASES
from tests.threads import one_thread


def main() -> int:
    """Run the cases; return 1 if something moved and was only to be checked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="cases, or beginnings of their names (all)")
    parser.add_argument("--check", action="store_true", help="print what moved, change nothing")
    arguments = parser.parse_args()
    one_thread()
    chosen = [one for one in sorted(CASES) if one.startswith(tuple(arguments.names or [""]))]
    changed = 0
    for name in chosen:
        with tempfile.TemporaryDirectory() as directory:
            result = store.make(name, Path(directory) / "case")
        moved = store.moved(name, result)
        changed += bool(moved)
        print("\n".join(moved) or f"{name}: as before", flush=True)
        if not arguments.check:
            store.write(name, result)
    print(f"{changed} of {len(chosen)} cases moved")
    return 1 if changed and arguments.check else 0


if __name__ == "__main__":
    raise SystemExit(main())
