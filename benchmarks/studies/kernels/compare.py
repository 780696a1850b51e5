"""Compare the speed of every compiled loop between two commits.

    python -m benchmarks.studies.kernels.compare BASE [HEAD] --out runs/kernels.json

Both are unpacked into a temporary directory, with the cases of HEAD in both, and timed by turns:
BASE, HEAD, HEAD, BASE, … so that slow drifts of the machine cancel. A loop is compared by the
fastest call of a run; ratios are of runs that followed each other. Ends with exit code 1 if a loop
of HEAD is slower by more than --limit beyond the spread. What is not committed is not compared.
"""

import argparse
import dataclasses
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.studies.common.study_record import circumstances, conclude, heading, parser, table
from benchmarks.studies.kernels.comparison import Change, Comparison, Times, compare
from benchmarks.studies.kernels.loops import PACKAGES, called_loops

_STUDY = Path("benchmarks", "studies", "kernels")
# In place of either commit's own ones, which may skip measurements or share them out.
_OPTIONS = ["-q", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]
_SHOWN_CHARACTERS = 2000


def main(arguments: list[str] | None = None) -> int:
    """Compare, write the record, print the table; return the exit code."""
    said = _parser().parse_args(arguments)
    record: dict[str, Any] = {**circumstances(), "limit": said.limit, "pairs": said.pairs}
    with tempfile.TemporaryDirectory() as folder:
        roots = _checkouts(Path(folder), said.base, said.head)
        runs = _by_turns(roots, said)
        found = compare(*runs)
        loops = [called_loops(root) for root in roots]
    gone, new = sorted(loops[0] - loops[1]), sorted(loops[1] - loops[0])
    record |= {
        "base": _commit(said.base),
        "head": _commit(said.head),
        **dataclasses.asdict(found),
        "loops_only_in_base": gone,
        "loops_only_in_head": new,
    }
    conclude(said.out, record, _shown(record, found, said.limit))
    for words, names in (("only in BASE", gone), ("only in HEAD", new)):
        if names:
            print(f"{words}: {', '.join(names)}")
    return int(any(change.slower(said.limit) for change in found.changes))


def _parser() -> argparse.ArgumentParser:
    made = parser(__doc__)
    made.add_argument("base", help="commit, branch or tag")
    made.add_argument("head", nargs="?", default="HEAD", help="default: HEAD")
    made.add_argument("--pairs", type=int, default=5, help="runs of each commit; default: 5")
    made.add_argument("--rounds", type=int, default=5, help="calls of a loop per run; default: 5")
    made.add_argument("--limit", type=float, default=0.1, help="slower is above; default: 0.1")
    made.add_argument("--only", default="", help="cases whose names contain this")
    return made


def _checkouts(folder: Path, *commits: str) -> list[Path]:
    """Unpack each commit, with the cases of the last in all of them."""
    roots = [folder / name for name in ("base", "head")]
    for root, commit in zip(roots, commits, strict=True):
        packed = io.BytesIO(_git("archive", commit))
        with tarfile.open(fileobj=packed) as archive:
            archive.extractall(root, filter="data")
    if not (roots[1] / _STUDY / "compare.py").exists():
        raise SystemExit(f"error: {commits[1]} has no {_STUDY}; expected a later commit as HEAD")
    shutil.rmtree(roots[0] / _STUDY, ignore_errors=True)
    shutil.copytree(roots[1] / _STUDY, roots[0] / _STUDY)
    return roots


def _by_turns(roots: list[Path], said: argparse.Namespace) -> tuple[list[Times], list[Times]]:
    """Return the runs of both; the first of each pair is the other one each time."""
    runs: tuple[list[Times], list[Times]] = ([], [])
    for pair in range(said.pairs):
        for side in (0, 1) if pair % 2 == 0 else (1, 0):
            print(f"pair {pair + 1} of {said.pairs}: {roots[side].name}", flush=True)
            runs[side].append(_run(roots[side], said.rounds, said.only))
    return runs


def _run(root: Path, rounds: int, only: str) -> Times:
    """Return the fastest call of every case in the checkout ``root``, s."""
    out = root / "times.json"
    command = [
        sys.executable, "-m", "pytest", *_OPTIONS, str(_STUDY),
        "-k", f"fast and {only}" if only else "fast", "--benchmark-only",
        f"--benchmark-min-rounds={rounds}", f"--benchmark-json={out}",
    ]  # fmt: skip
    # Options and workers of another pytest are not meant for this one.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    # Before everything that is installed: an editable installation has another commit.
    environment["PYTHONPATH"] = str(root)
    out.unlink(missing_ok=True)
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(
            f"error: {root.name} could not be timed (--only takes a part of a case's name):\n"
            f"{done.stdout[-_SHOWN_CHARACTERS:]}{done.stderr[-_SHOWN_CHARACTERS:]}"
        )
    # There is no report where a commit has none of the loops.
    return _times(json.loads(out.read_text()), root) if out.exists() else {}


def _times(report: dict[str, Any], root: Path) -> Times:
    """Return the fastest calls, of packages that lie in ``root``."""
    inside = {str(root.resolve() / package) for package in PACKAGES}
    times = {}
    for one in report["benchmarks"]:
        if foreign := set(one["extra_info"]["packages"]) - inside:
            raise SystemExit(
                f"error: timed {', '.join(sorted(foreign))}; expected what is in {root}"
            )
        times[one["group"]] = one["stats"]["min"]
    return times


def _git(*arguments: str) -> bytes:
    here = Path(__file__).parent
    top = subprocess.run(
        ["git", "rev-parse", "--show-toplevel"], cwd=here, capture_output=True, text=True
    )
    done = subprocess.run(["git", *arguments], cwd=top.stdout.strip() or here, capture_output=True)
    if done.returncode:
        raise SystemExit(f"error: git {' '.join(arguments)}: {done.stderr.decode().strip()}")
    return done.stdout


def _commit(name: str) -> str:
    return _git("rev-parse", f"{name}^{{commit}}").decode().strip()


def _shown(record: dict[str, Any], found: Comparison, limit: float) -> Any:
    title = heading(f"{record['base'][:8]} → {record['head'][:8]}", record)
    names = ["case", "base ms", "head ms", "ratio", "spread", ""]
    return table(title, names, [_row(change, limit) for change in found.changes] + [
        [name, "", "", "", "", words]
        for words, only in (("only in BASE", found.only_base), ("only in HEAD", found.only_head))
        for name in only
    ])  # fmt: skip


def _row(change: Change, limit: float) -> list[str]:
    mark = "SLOWER" if change.slower(limit) else "faster" if change.faster(limit) else ""
    return [
        change.name, f"{1e3 * change.base_s:.1f}", f"{1e3 * change.head_s:.1f}",
        f"{change.ratio:.2f}", f"± {change.spread:.2f}", mark,
    ]  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
