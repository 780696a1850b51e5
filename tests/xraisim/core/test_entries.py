"""Sparse photons on a device against the dense counts they stand for."""

import numpy as np
import pytest
import torch

from xraisim.core.entries import dense_counts, device_blocks, upload_entries


@pytest.fixture
def counts() -> torch.Tensor:
    """Forty patterns of 30 pixels, the first and the tenth dark."""
    random = torch.Generator().manual_seed(0)
    counts = torch.poisson(torch.full((40, 30), 0.4), generator=random)
    counts[[0, 9]] = 0
    return counts


def test_entries_are_those_of_the_rows_and_pixels(counts, make_sparse):
    entries = upload_entries(make_sparse(counts), slice(5, 20), 12, "cpu")
    found = torch.zeros(15, 12, dtype=torch.float64)
    found.index_put_((entries.row, entries.pixel), entries.count, accumulate=True)
    assert torch.equal(found, counts[5:20, :12].double())


def test_totals_are_sums_over_a_pattern(counts, make_sparse):
    entries = upload_entries(make_sparse(counts), slice(0, 40), 30, "cpu")
    weight = torch.arange(30, dtype=torch.float64)
    found = entries.totals(entries.count[:, None] * weight[entries.pixel, None])
    assert torch.equal(found[:, 0], counts.double() @ weight)


def test_dense_counts_add_up_repeated_entries(counts, make_sparse):
    photons = make_sparse(counts)
    twice = type(photons)(
        offsets=2 * photons.offsets,
        pixel=np.repeat(photons.pixel, 2),
        count=np.repeat(photons.count, 2),
    )
    assert torch.equal(dense_counts(twice, 30, "cpu"), 2 * counts)
    assert torch.equal(dense_counts(twice, 7, "cpu"), 2 * counts[:, :7])


@pytest.mark.parametrize("samples_per_row", [1, 2**18, 2**30])
def test_blocks_cover_every_row_once(samples_per_row):
    rows = [i for rows in device_blocks(10, samples_per_row, "cpu") for i in range(10)[rows]]
    assert rows == list(range(10))
