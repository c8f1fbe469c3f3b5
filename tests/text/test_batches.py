"""Sequential partition, random sampling, and the windows of the held-out part."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from tidegate.errors import ArgumentError, DataError
from tidegate.text.batches import IGNORE, RandomSampling, Sequential, heldout_windows
from tidegate.text.token_array import TokenArray

PARTITIONS = [Sequential, RandomSampling]
SIZES = [(100, 2, 5), (1000, 7, 3), (37, 1, 1), (61, 1, 20), (10_000, 32, 35)]
TOKENS = torch.arange(20_000)  # each token is its own place in the text


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize(("count", "batch", "steps"), SIZES)
def test_each_target_is_the_token_after_its_input(partition, count, batch, steps):
    batches = partition(TOKENS[:count], batch, steps, seed=3)
    for epoch in range(3):
        found = list(batches.epoch(epoch))
        assert len(found) == batches.count(epoch) >= 1
        for x, y in found:
            assert x.shape == y.shape == (steps, batch)
            assert x.dtype == torch.int64
            assert x.is_contiguous()
            assert y.is_contiguous()
            torch.testing.assert_close(y, x + 1)
            torch.testing.assert_close(x, x[0] + torch.arange(steps)[:, None])


@pytest.mark.parametrize(("count", "batch", "steps"), SIZES)
def test_successive_batches_continue_the_same_rows(count, batch, steps):
    batches = Sequential(TOKENS[:count], batch, steps)
    assert Sequential.carries_state
    for epoch in range(3):
        found = list(batches.epoch(epoch))
        for (_, y), (x, _) in pairwise(found):
            assert torch.equal(x[0], y[-1])
        offset = int(found[0][0][0, 0])
        assert 0 <= offset <= steps
        row = (count - offset - 1) // batch
        assert torch.equal(found[0][0][0], offset + row * torch.arange(batch))
        assert len(found) == row // steps


@pytest.mark.parametrize(("count", "batch", "steps"), SIZES)
def test_random_windows_tile_the_text_without_overlap(count, batch, steps):
    batches = RandomSampling(TOKENS[:count], batch, steps)
    assert not RandomSampling.carries_state
    for epoch in range(3):
        begins = torch.cat([x[0] for x, _ in batches.epoch(epoch)])
        offset = int(begins[0]) % steps
        assert torch.equal(begins % steps, torch.full_like(begins, offset))
        assert len(set(begins.tolist())) == len(begins)
        windows = (count - offset - 1) // steps
        assert len(begins) == windows // batch * batch
        assert int(begins.max()) + steps < count


def test_random_windows_have_a_different_order_in_each_epoch():
    batches = RandomSampling(TOKENS[:1000], 4, 5)
    orders = [torch.cat([x[0] for x, _ in batches.epoch(epoch)]) // 5 for epoch in range(2)]
    assert not torch.equal(*(order[:190] for order in orders))
    assert not torch.equal(orders[0], orders[0].sort().values)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_every_offset_of_the_textbook_is_used(partition):
    last = 4 if partition is Sequential else 3  # random.randint(0, steps) and random.randint(0, steps - 1)
    batches = partition(TOKENS[:50], 1, 4)
    offsets = {min(int(x[0].min()) for x, _ in batches.epoch(epoch)) for epoch in range(200)}
    assert offsets == set(range(last + 1))


@pytest.mark.parametrize("partition", PARTITIONS)
def test_a_batch_is_a_pure_function_of_seed_epoch_and_number(partition):
    def run(seed):
        return partition(TOKENS[:1000].clone(), 3, 7, seed=seed)

    whole = [list(run(5).epoch(epoch)) for epoch in range(3)]
    resumed = list(run(5).epoch(2, start=4))
    assert all(torch.equal(x, a) and torch.equal(y, b) for (x, y), (a, b) in zip(whole[2][4:], resumed))
    assert len(resumed) == len(whole[2]) - 4
    batches = run(5)
    for epoch, k in [(2, 5), (0, 1), (2, 5), (1, 0)]:
        assert torch.equal(batches.at(epoch, k)[0], whole[epoch][k][0])
    assert any(not torch.equal(run(6).at(epoch, 0)[0], whole[epoch][0][0]) for epoch in range(3))


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 5), (32, 35)])
def test_the_smallest_text_is_known_exactly(partition, batch, steps):
    need = partition.needed(batch, steps)
    batches = partition(TOKENS[:need], batch, steps)
    counts = {batches.count(epoch) for epoch in range(300)}
    assert min(counts) == 1
    with pytest.raises(DataError, match=f"has {need - 1} tokens, but one batch of {batch} x {steps} .* needs {need}"):
        partition(TOKENS[: need - 1], batch, steps)


@pytest.mark.parametrize("partition", PARTITIONS)
def test_the_error_of_a_short_text_names_the_largest_batch_that_fits(partition):
    with pytest.raises(DataError, match="`batch` 9 or less") as caught:
        partition(TOKENS[:1010], 32, 100)
    assert "has 1010 tokens" in str(caught.value)
    partition(TOKENS[:1010], 9, 100)
    with pytest.raises(DataError, match="fewer `steps` than 100"):
        partition(TOKENS[:50], 32, 100)


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("sizes", [(0, 5, 0), (2, 0, 0), (2, 5, -1)])
def test_wrong_sizes_are_refused(partition, sizes):
    with pytest.raises(ArgumentError, match="must be at least"):
        partition(TOKENS[:100], *sizes)


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize("k", [-1, 1000])
def test_a_batch_beyond_the_epoch_is_refused(partition, k):
    with pytest.raises(ArgumentError, match="`k` must be a batch of the epoch"):
        partition(TOKENS[:100], 2, 5).at(0, k)


@pytest.mark.parametrize("partition", PARTITIONS)
@pytest.mark.parametrize(("count", "batch", "steps"), SIZES)
def test_batches_that_are_read_together_are_those_that_are_read_one_by_one(partition, count, batch, steps):
    batches = partition(TOKENS[:count], batch, steps, seed=3)
    for epoch in range(2):
        last = batches.count(epoch)
        for first, several in {(0, last), (last - 1, 1), (last // 2, last - last // 2)}:
            found = batches.several(epoch, first, several)
            assert len(found) == several
            for k, (x, y) in enumerate(found):
                assert x.is_contiguous()
                assert y.is_contiguous()
                assert torch.equal(x, batches.at(epoch, first + k)[0])
                assert torch.equal(y, x + 1)
        for first, several in ((0, last + 1), (last, 1), (-1, 1), (0, 0)):
            with pytest.raises(ArgumentError):
                batches.several(epoch, first, several)


@pytest.mark.parametrize("count", [2, 3, 17, 101, 1000])
@pytest.mark.parametrize(("batch", "steps"), [(1, 1), (3, 5), (32, 35), (7, 1000)])
def test_every_held_out_token_is_predicted_once(count, batch, steps):
    windows = list(heldout_windows(TOKENS[:count], batch, steps))
    targets = torch.cat([y.flatten() for _, y in windows])
    assert sorted(targets[targets != IGNORE].tolist()) == list(range(1, count))
    for x, y in windows:
        assert x.shape == y.shape
        assert x.shape[0] <= steps
        assert x.shape[1] <= batch
        real = y != IGNORE
        assert torch.equal(y[real], x[real] + 1)
    for (_, y), (x, _) in pairwise(windows):
        assert torch.equal(x[0][y[-1] != IGNORE], y[-1][y[-1] != IGNORE])


def test_a_held_out_part_of_one_token_is_refused():
    with pytest.raises(DataError, match="has 1 token"):
        list(heldout_windows(TOKENS[:1], 2, 5))


@pytest.mark.parametrize("partition", PARTITIONS)
def test_batches_of_small_integers_are_those_of_the_tensor(partition):
    tokens = TOKENS[:1000] % 250
    small = TokenArray(tokens.numpy().astype(np.uint8))
    ours, expected = partition(small, 3, 7), partition(tokens, 3, 7)
    for epoch in range(2):
        assert ours.count(epoch) == expected.count(epoch)
        for (x, y), (u, v) in zip(ours.epoch(epoch), expected.epoch(epoch), strict=True):
            assert x.dtype == y.dtype == torch.int64
            assert torch.equal(x, u)
            assert torch.equal(y, v)
    for (x, y), (u, v) in zip(heldout_windows(small, 3, 7), heldout_windows(tokens, 3, 7), strict=True):
        assert torch.equal(x, u)
        assert torch.equal(y, v)


def test_random_windows_are_in_the_order_of_a_permutation_of_int64():
    random = np.random.default_rng([5, 2])
    offset = int(random.integers(7))
    begins = offset + 7 * random.permutation((1000 - offset - 1) // 7)
    batches = RandomSampling(TOKENS[:1000], 3, 7, seed=5)
    found = torch.cat([x[0] for x, _ in batches.epoch(2)])
    assert found.tolist() == begins[: len(found)].tolist()
