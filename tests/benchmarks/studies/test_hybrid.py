"""The variants of X-RAI that are measured differ from the default, and each in its own way."""

import argparse
import os
import time

from benchmarks.studies.common.snapshots import snapshots
from benchmarks.studies.hybrid.variants import VARIANTS, task_of
from xrai.config import TrainConfig


def test_every_variant_is_a_setting_of_its_own():
    configs = [change(TrainConfig()) for change in VARIANTS.values()]
    assert configs[0] == TrainConfig()
    assert all(one != other for i, one in enumerate(configs) for other in configs[:i])


def test_a_task_can_be_made_smaller_and_coarser():
    options = argparse.Namespace(task="quick", patterns=500, resolution=25.0)
    task = task_of(options)
    assert task.simulate.patterns == 500
    assert task.simulate.detector.s_max_per_angstrom == 0.04


def test_every_checkpoint_of_a_run_is_kept_aside(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    with snapshots(run / "checkpoint.pt", tmp_path / "kept") as seen:
        for number in range(3):
            partial = run / "partial"
            partial.write_text(str(number))
            os.replace(partial, run / "checkpoint.pt")
            began = time.monotonic()
            while len(seen) <= number and time.monotonic() - began < 30:
                time.sleep(0.01)
    assert [one.path.read_text() for one in seen] == ["0", "1", "2"]
    seconds = [one.seconds for one in seen]
    assert seconds == sorted(seconds)
