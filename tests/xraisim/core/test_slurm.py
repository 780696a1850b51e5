"""Variables of ``srun`` as those of torchrun."""

import pytest

from xraisim.core.errors import DeviceError
from xraisim.core.slurm import as_torchrun, first_node, place

STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "2",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_NODELIST": "gpu[07-08]",
}


def test_a_task_of_a_step_knows_its_place():
    found = as_torchrun(STEP)
    assert found["RANK"] == "5"
    assert found["WORLD_SIZE"] == "8"
    assert found["LOCAL_RANK"] == "1"
    assert found["MASTER_ADDR"] == "gpu07"
    assert 15_000 <= int(found["MASTER_PORT"]) < 30_000


def test_two_steps_of_a_job_meet_at_ports_of_their_own():
    ports = {as_torchrun(STEP | {"SLURM_STEP_ID": one})["MASTER_PORT"] for one in "0123"}
    assert len(ports) == 4


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"SLURM_JOB_ID": "4711", "SLURM_NTASKS": "8", "SLURM_PROCID": "0"},  # a batch script
        STEP | {"SLURM_STEP_NUM_TASKS": "1"},
        STEP | {"WORLD_SIZE": "4"},  # torchrun within a step
    ],
)
def test_elsewhere_nothing_is_set(variables):
    assert as_torchrun(variables) == {}


def test_what_is_set_stays():
    assert "MASTER_ADDR" not in as_torchrun(STEP | {"MASTER_ADDR": "10.0.0.1"})


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("login1", "login1"),
        ("a,b", "a"),
        ("gpu[03-05,9],login1", "gpu03"),
        ("rack2-n[7]", "rack2-n7"),
        ("n[1-4]-ib", "n1-ib"),
    ],
)
def test_the_first_of_a_list_of_nodes(nodes, first):
    assert first_node(nodes) == first


def test_a_list_without_a_node_is_refused():
    with pytest.raises(DeviceError, match="names no node"):
        first_node("")


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, (0, 1)),
        ({"RANK": "3", "WORLD_SIZE": "8"}, (3, 8)),
        (STEP, (5, 8)),
    ],
)
def test_the_place_of_a_process(variables, expected):
    assert place(variables) == expected
