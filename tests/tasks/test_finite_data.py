"""Tasks of finite data: the digits of scikit-learn, and the language model of a text."""

import math
import random
import sys

import pytest
import torch
from tests.tasks.answers import constant, draw, logits

from tidegate.errors import ArgumentError, DataError
from tidegate.tasks import find_task
from tidegate.tasks.digits import _images


def rows(batch):
    return {tuple(row) for row in batch.x[..., 0].T.tolist()}


def test_digits_are_the_images_of_scikit_learn_and_the_last_are_held_out():
    from sklearn.datasets import load_digits

    images, digits = load_digits(return_X_y=True)
    both = (find_task("digits"), slice(None, 1437)), (find_task("digits").heldout(), slice(1437, None))
    for task, part in both:
        known = {tuple(row): digit for row, digit in zip((images[part] / 16).tolist(), digits[part].tolist())}
        batch = draw(task, 3000)
        assert rows(batch) <= set(known)
        assert all(known[tuple(x)] == y for x, y in zip(batch.x[..., 0].T.tolist(), batch.target[-1].tolist()))
        most = max(range(10), key=digits[part].tolist().count)
        assert task.chance == pytest.approx(digits[part].tolist().count(most) / len(digits[part]))
        spread = 4 * math.sqrt(0.1 * 0.9 / 3000)
        assert task.score(constant(task, batch, most), batch) == pytest.approx(task.chance, abs=spread)


def test_digits_without_scikit_learn_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    _images.cache_clear()
    with pytest.raises(
        DataError, match=r"needs scikit-learn, which is not installed. Use pip install 'tidegate\[tasks\]'"
    ):
        find_task("digits")


@pytest.fixture
def text(tmp_path):
    """A text of independent characters, a, b and c with probabilities 1/2, 1/4 and 1/4."""
    path = tmp_path / "abc.txt"
    path.write_text("".join(random.Random(0).choices("aabc", k=40_000)))
    return str(path)


def test_the_chance_of_a_text_is_the_entropy_of_its_characters(text):
    task = find_task(f"text:{text}", length=20)
    assert task.input_size == task.output_size == 4
    for part in (task, task.heldout()):
        assert part.chance == pytest.approx(1.5, abs=0.03)
        batch = draw(part, 1000)
        p = batch.target.flatten().bincount(minlength=4) / batch.target.numel()
        outputs = p.clamp(min=1e-9).log().expand(20, 1000, 4)
        assert part.score(outputs, batch) == pytest.approx(part.chance, abs=0.02)
    assert task.solved == pytest.approx(1.5, abs=0.05)  # where characters are independent, counts help no further


def test_the_target_of_a_text_is_the_next_character_of_the_part(tmp_path):
    path = tmp_path / "halves.txt"
    path.write_text("ab" * 450 + "cd" * 50)
    task = find_task("text", text=str(path), length=12)
    following = dict(zip("abcd", "badc"))
    for part, letters in ((task, "ab"), (task.heldout(), "cd")):
        batch = draw(part, 50)
        tokens = part.vocabulary.tokens
        assert {tokens[s] for s in batch.x.flatten().tolist()} == set(letters)
        assert torch.equal(batch.target[:-1], batch.x[1:])
        wanted = [[tokens.index(following[tokens[s]]) for s in row] for row in batch.x.tolist()]
        outputs = logits(torch.tensor(wanted), part.output_size)
        assert part.score(outputs, batch) == pytest.approx(0, abs=1e-10)
    assert task.data == task.heldout().data
    assert len(task.data) == 64


def test_a_text_that_is_missing_short_or_given_twice_raises_an_error(tmp_path, text):
    with pytest.raises(DataError, match="no corpus and no file is named"):
        find_task("text:nowhere.txt")
    with pytest.raises(DataError, match="too few for a window of `length` 5000"):
        find_task(f"text:{text}", length=5000)
    with pytest.raises(ArgumentError, match="already names its text"):
        find_task("text:builtin", text="builtin")
    with pytest.raises(ArgumentError, match="standard input"):
        find_task("text:-")
    with pytest.raises(ArgumentError, match="`part` must be one of train, heldout, got 'test'"):
        find_task(f"text:{text}", part="test")
