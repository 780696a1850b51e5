"""Every compiled loop is timed, its plain form gives the same, and commits are compared rightly."""

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.studies.kernels.cases import NOT_TIMED, load
from benchmarks.studies.kernels.compare import _times, main
from benchmarks.studies.kernels.comparison import compare
from benchmarks.studies.kernels.loops import called_loops

CASES = load()


def test_every_loop_is_timed_or_has_a_reason_not_to_be(repository: Path):
    called = called_loops(repository)
    timed = {loop for case in CASES.values() for loop in case.loops}
    assert called - timed == set(NOT_TIMED), "add a case, or a reason to NOT_TIMED"
    assert not timed - called, "cases name loops that nothing calls"


def test_loops_are_found_however_they_are_named(tmp_path: Path):
    """Through a module, by name, in their own file; not what loops alone call."""
    room = tmp_path / "xraisim"
    (room / "kernels").mkdir(parents=True)
    (room / "kernels" / "a.py").write_text(
        "# kernels\n@compiled\ndef piece(): ...\n@compiled(fast=True)\ndef one(): piece()\n"
        "@compiled\ndef two(): ...\ndef plain(): ...\n"
    )
    (room / "a.py").write_text(
        "from xraisim.kernels import a as kernels\nfrom xraisim.kernels.a import two as second\n"
        "@compiled\ndef own(): kernels.piece()\n"
        "def front(): kernels.one(), second(), own(), kernels.plain()\n"
    )
    assert called_loops(tmp_path) == {
        "xraisim.kernels.a.one", "xraisim.kernels.a.two", "xraisim.a.own",
    }  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_both_forms_give_the_same(case):
    assert not case.missing()
    pair = case.make(case.tiny)
    found = pair.fast(*pair.arguments())
    if pair.reference is None:
        return
    found, expected = pair.read(found), pair.reference(*pair.arguments())
    if not isinstance(expected, list | tuple):
        found, expected = [found], [expected]
    for one, other in zip(found, expected, strict=True):
        one, other = (np.asarray(values).astype(complex) for values in (one, other))
        assert np.abs(other).max() > 0
        assert np.abs(one - other).max() <= pair.tolerance * np.abs(other).max()


def test_a_loop_that_is_not_there_is_missing():
    case, gone = CASES["scores"], ("xraisim.core.likelihood.no_such", "xraisim.no.such")
    assert replace(case, loops=(*gone, *case.loops)).missing() == list(gone)


def test_ratios_are_of_pairs_and_what_is_within_the_spread_is_not_slower():
    """A machine that slows down half way does not count; a noisy loop is not called slower."""
    base = [{"steady": t, "noisy": 1.0, "gone": 1.0} for t in (1.0, 1.0, 2.0, 2.0, 2.0)]
    slow = [1.0, 1.0, 1.3, 1.9, 1.9]
    head = [
        {"steady": 1.2 * run["steady"], "noisy": n, "new": 1.0}
        for run, n in zip(base, slow, strict=True)
    ]
    found = compare(base, head)
    assert (found.only_base, found.only_head) == (["gone"], ["new"])
    steady, noisy = found.changes
    assert (steady.name, steady.base_s, steady.head_s) == ("steady", 1.0, 1.2)
    assert (steady.ratio, steady.spread) == pytest.approx((1.2, 0.0))
    assert steady.slower(0.1)
    assert not steady.slower(0.25)
    assert (noisy.ratio, noisy.spread) == pytest.approx((1.3, 0.45))
    assert not noisy.slower(0.1)
    faster = compare(head, base).changes[0]
    assert faster.faster(0.1)
    assert not faster.slower(0.1)


def test_what_is_no_commit_is_said(tmp_path: Path):
    with pytest.raises(SystemExit, match="no-such-commit"):
        main(["no-such-commit", "--out", str(tmp_path / "record.json")])


def test_what_was_timed_lies_in_the_commit_s_own_tree(tmp_path: Path):
    """An editable installation of another checkout must not be what is timed."""
    one = {"group": "photons", "stats": {"min": 0.5}}
    inside = {**one, "extra_info": {"packages": [str(tmp_path.resolve() / "xraisim")]}}
    foreign = {**one, "extra_info": {"packages": ["/elsewhere/xraisim"]}}
    assert _times({"benchmarks": [inside]}, tmp_path) == {"photons": 0.5}
    with pytest.raises(SystemExit, match="/elsewhere/xraisim"):
        _times({"benchmarks": [inside, foreign]}, tmp_path)


@pytest.mark.long
def test_a_commit_is_as_fast_as_itself(tmp_path: Path, repository: Path, capfd):
    """One loop, two runs of each: the whole way from commits to the record."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=repository, capture_output=True, text=True
    ).stdout.strip()
    out = tmp_path / "record.json"
    arguments = ["HEAD", "--only", "modulus_with", "--pairs", "2", "--rounds", "3"]
    assert main([*arguments, "--limit", "3", "--out", str(out)]) == 0
    record = json.loads(out.read_text())
    assert (record["base"], record["head"]) == (head, head)
    (change,) = record["changes"]
    assert change["name"] == "modulus_with_background"
    assert 0.25 < change["ratio"] < 4
    assert not record["loops_only_in_base"]
    assert "ratio" in capfd.readouterr().out
