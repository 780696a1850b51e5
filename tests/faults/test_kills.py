"""Ended at any moment and gone on with, commands give what they give if nobody disturbs them."""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from .conftest import KILLS, disturbed, same_data, timed

SIGNALS = pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT], ids=lambda one: one.name
)


def many(disturb: Callable[[Path], int], compare: Callable[[Path], bool], root: Path) -> None:
    """Disturb fresh runs until there were enough kills; each must end as it would have."""
    kills, run = 0, 0
    while kills < KILLS:
        out = root / f"run-{run}"
        kills += disturb(out)
        assert compare(out), f"{out} differs after being ended"
        run += 1
        assert run < 100 + KILLS, "every run ends before it can be killed"
    print(f"{kills} kills over {run} runs")


@SIGNALS
def test_make(number, settings, made, begin, tmp_path):
    random = np.random.default_rng(number)
    make = "xrai-sim", "make", "--config", settings, "--resume", "--out"
    seconds = timed(begin(*make, tmp_path / "b.h5"))

    def disturb(out: Path) -> int:
        return disturbed(lambda: begin(*make, out / "a.h5"), number, seconds, random)

    def compare(out: Path) -> bool:
        truths = out / "a.truth.h5", made.with_name("patterns.truth.h5")
        return same_data(out / "a.h5", made) and same_data(*truths)

    many(disturb, compare, tmp_path)


@SIGNALS
def test_convert(number, made, begin, tmp_path):
    """A conversion begins anew; what an ended one leaves is not in the way."""
    random = np.random.default_rng(number)
    whole = tmp_path / "whole.cxi"
    seconds = timed(begin("xrai-sim", "convert", made, whole))

    def disturb(out: Path) -> int:
        command = "xrai-sim", "convert", made, out / "a.cxi", "--force"
        return disturbed(lambda: begin(*command), number, seconds, random)

    many(disturb, lambda out: same_data(out / "a.cxi", whole), tmp_path)


@SIGNALS
def test_train(number, few, train_settings, trained, begin, tmp_path):
    """In the start, in rounds, while teaching, while writing; bit for bit the same."""
    random = np.random.default_rng(number)
    whole, seconds = trained

    def start_or_resume(out: Path):
        if (out / "checkpoint.pt").exists():
            return begin("xrai", "resume", out)
        return begin("xrai", "train", few, "--out", out, "--config", train_settings)

    def compare(out: Path) -> bool:
        return all(
            same_data(out / name, whole / name)
            for name in ("poses.h5", "intensity.h5", "half_1.h5")
        )

    many(
        lambda out: disturbed(lambda: start_or_resume(out), number, seconds, random),
        compare,
        tmp_path,
    )


@SIGNALS
def test_emc(number, few, emc_settings, emc_done, begin, tmp_path):
    random = np.random.default_rng(number)
    whole, seconds = emc_done

    def start_or_resume(out: Path):
        # One that had just written its result is begun anew: its checkpoint is gone.
        again = "--resume" if (out / "checkpoint.pt").exists() else "--force"
        command = "xrai-baseline", "emc", few, "--out", out, "--config", emc_settings
        return begin(*command, again)

    def compare(out: Path) -> bool:
        return all(same_data(out / name, whole / name) for name in ("poses.h5", "intensity.h5"))

    many(
        lambda out: disturbed(lambda: start_or_resume(out), number, seconds, random),
        compare,
        tmp_path,
    )
