"""The n-gram model against one written with dictionaries, and against figures from other programs."""

import hashlib
import math
from collections import Counter

import numpy as np
import pytest
import torch

from tidegate.text.corpora import load_text
from tidegate.text.dataset import make_dataset, make_part
from tidegate.text.ngram import ngram_baseline, witten_bell
from tidegate.text.source import Text
from tidegate.text.tokens import tokenize
from tidegate.text.vocabulary import Vocabulary


def by_hand(train: list[int], before: list[int], token: int, order: int, vocabulary_size: int) -> float:
    """P_order(token | before): the recursion as printed, counted anew for every question."""
    if order < 0:
        return 1 / vocabulary_size
    lower = by_hand(train, before, token, order - 1, vocabulary_size)
    if order > len(before):
        return lower
    context = tuple(before[len(before) - order :])
    followers = Counter(train[i + order] for i in range(len(train) - order) if tuple(train[i : i + order]) == context)
    if not followers:
        return lower
    return (followers[token] + len(followers) * lower) / (followers.total() + len(followers))


@pytest.mark.parametrize("vocabulary_size", [2, 3, 5, 40])
@pytest.mark.parametrize(("count", "tail"), [(60, 25), (300, 40), (3, 12), (1, 5), (40, 2)])
def test_the_result_equals_that_of_a_count_with_dictionaries(vocabulary_size, count, tail):
    random = np.random.default_rng([vocabulary_size, count])
    train, heldout = (random.integers(vocabulary_size, size=n).tolist() for n in (count, tail))
    costs = list(witten_bell(torch.tensor(train), torch.tensor(heldout), vocabulary_size, max_order=6))
    assert len(costs) == 7
    for order, nats in enumerate(costs):
        expected = [-math.log(by_hand(train, heldout[:i], heldout[i], order, vocabulary_size)) for i in range(1, tail)]
        np.testing.assert_allclose(nats, expected, rtol=1e-12)


def test_probabilities_sum_to_one_over_the_vocabulary():
    random = np.random.default_rng(0)
    size = 6
    train = torch.from_numpy(random.integers(size - 1, size=400))  # the last token is never seen
    for context in random.integers(size, size=(20, 7)):
        per_order = np.zeros(7)
        for token in range(size):
            heldout = torch.tensor([*context, token])
            per_order += [math.exp(-nats[-1]) for nats in witten_bell(train, heldout, size, max_order=6)]
        np.testing.assert_allclose(per_order, 1, rtol=1e-12)


def test_the_check_detects_a_count_that_is_off_by_one():
    train, heldout = [0, 1, 0, 1, 1], [0, 1, 1]
    nats = list(witten_bell(torch.tensor(train), torch.tensor(heldout), 2, max_order=1))[1]
    assert by_hand([*train, 1], heldout[:1], 1, 1, 2) != pytest.approx(math.exp(-nats[0]))


def test_the_probabilities_of_two_tokens_equal_those_computed_by_hand():
    # a b a b a: P_0(a) = (3 + 2/2) / (5 + 2) = 4/7, P_1(b | a) = (2 + 3/7) / (2 + 1) = 17/21
    order0, order1 = witten_bell(torch.tensor([0, 1, 0, 1, 0]), torch.tensor([0, 1]), 2, max_order=1)
    assert math.exp(-order0[0]) == pytest.approx(3 / 7)
    assert math.exp(-order1[0]) == pytest.approx(17 / 21)


def test_contexts_too_large_for_one_integer_key_are_counted():
    size = 10**6
    train, heldout = torch.randint(size, (500,)), torch.randint(size, (50,))
    heldout[10:30] = train[100:120]
    costs = list(witten_bell(train, heldout, size, max_order=6))
    assert (costs[6][15:29] < 1).all()


def test_the_best_order_is_reported_with_its_bits_per_character():
    dataset = make_dataset(load_text("builtin"), tokens="byte")
    baseline = ngram_baseline(dataset.train, dataset.heldout, len(dataset.vocabulary))
    assert baseline.nats == min(baseline.by_order) == baseline.by_order[baseline.order]
    assert baseline.ppl == pytest.approx(math.exp(baseline.nats))
    assert baseline.bpc == dataset.heldout.bpc(baseline.nats)


@pytest.mark.parametrize(
    ("file", "settings", "order", "bpc"),
    [
        ("timemachine.txt", {}, 4, 2.29211592),
        ("tinyshakespeare.txt", {}, 4, 2.40755289),
        ("timemachine.txt", {"preprocessing": "letters", "first": 10_000, "heldout": 10_000}, 3, 2.77331158),
    ],
)
def test_known_texts_have_their_known_baselines(reference, file, settings, order, bpc):
    dataset = make_dataset(load_text(str(reference(file))), **settings)
    baseline = ngram_baseline(dataset.train, dataset.heldout, len(dataset.vocabulary))
    assert baseline.order == order
    assert baseline.bpc == pytest.approx(bpc, abs=1e-8)


def test_all_of_a_small_text_is_counted_and_scored():
    dataset = make_dataset(load_text("builtin"))
    baseline = ngram_baseline(dataset.train, dataset.heldout, len(dataset.vocabulary), max_order=1)
    assert baseline.counted == baseline.counted_of == len(dataset.train)
    assert baseline.scored == baseline.scored_of == len(dataset.heldout)
    assert baseline.sample == ""


def test_a_sample_of_a_large_text_is_counted_and_reported(monkeypatch):
    monkeypatch.setattr("tidegate.text.ngram.COUNTED", 5000)
    monkeypatch.setattr("tidegate.text.ngram.SCORED", 700)
    dataset = make_dataset(load_text("builtin"))
    size, train, heldout = len(dataset.vocabulary), dataset.train, dataset.heldout
    baseline = ngram_baseline(train, heldout, size, max_order=2)
    expected = witten_bell(train.ids[-5000:], heldout.ids[:700], size, max_order=2)
    assert baseline.by_order == tuple(float(nats.mean()) for nats in expected)
    assert baseline.sample == (
        f"counted on the last 5,000 of {len(train):,} training tokens and scored on the first 700 of {len(heldout):,} "
        "held-out tokens"
    )


@pytest.fixture
def treebank(reference):
    return [load_text(str(reference(f"ptb/ptb.{part}.txt"))) for part in ("train", "test")]


def test_penn_treebank_words_have_their_known_perplexities(treebank):
    vocabulary = Vocabulary.build(tokenize(treebank[0].text, "word"), "word")
    train, test = (make_part(text, vocabulary) for text in treebank)
    assert (len(vocabulary), len(train), len(test)) == (10_000, 929_589, 82_430)
    baseline = ngram_baseline(train, test, len(vocabulary), max_order=3)
    assert baseline.order == 2
    assert [math.exp(nats) for nats in baseline.by_order[1:3]] == pytest.approx([199.8, 188.7], abs=0.1)


def test_penn_treebank_characters_have_their_known_baseline(treebank):
    def characters(text: Text) -> Text:
        lines = [line.strip().replace(" ", "_") for line in text.text.splitlines()]
        return Text.of(text.name, "".join(line + "\n" for line in lines))

    train, test = map(characters, treebank)
    spaced = "".join(" ".join(line) + " \n " for line in test.text.splitlines())
    assert hashlib.sha1(spaced.encode()).hexdigest() == "d32ae3c2f7598ba6507b113e6fef8736517a27fd"
    vocabulary = Vocabulary.build(train.text)
    assert len(vocabulary) == 51  # 50 characters and <unk>
    baseline = ngram_baseline(make_part(train, vocabulary), make_part(test, vocabulary), len(vocabulary))
    assert baseline.order == 6
    assert baseline.bpc == pytest.approx(1.539, abs=0.001)
