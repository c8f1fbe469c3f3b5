"""A job: what it trains, what it returns, and that it never raises."""

import itertools
import json
import pickle
from dataclasses import replace

import pytest
import torch
from tests.comparing.own import Broken, Echo, Leaky, Mean

from tidegate.calculus import serial, trace
from tidegate.cells import CELLS
from tidegate.comparing import Settings
from tidegate.comparing.arm import Arm
from tidegate.comparing.job import GivenTask, Job, NamedTask
from tidegate.comparing.network import Network, initial_network, recurrent_weights
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.streams import TRAINING, WEIGHTS, number, stream
from tidegate.comparing.trainer import timed
from tidegate.comparing.training import run

TRAINED = Settings(hidden=6, batch=16, steps=60, eval_every=10, eval_size=64, lr=0.05)


def job(cell, task, seed: int = 0, settings: Settings = TRAINED, lr: float = 0.05) -> Job:
    source = task if isinstance(task, NamedTask) else GivenTask(task)
    return Arm("cell", trace(cell), source, settings, {}).job(seed, lr)


def without_time(result: dict) -> dict:
    return {name: value for name, value in result.items() if name != "seconds"}


@pytest.mark.parametrize("cell", [*CELLS.values(), Leaky], ids=lambda cell: cell.__name__)
def test_every_cell_trains_and_its_result_is_plain_json(cell):
    asked = job(cell, Echo(), settings=TRAINED.with_values({"steps": 20}))
    result = run(pickle.loads(pickle.dumps(asked)))
    assert result["status"] in ("solved", "unsolved")
    assert Outcome.of(json.loads(json.dumps(result))) == Outcome.of(result)
    network = Network(trace(cell), Echo(), 6, 1)
    assert result["weights"] == sum(p.numel() for p in network.parameters())
    assert result["recurrent_weights"] == sum(p.numel() for p in network.layer.parameters())
    assert result["state"] == 6 * len(cell.state)
    assert result["seconds"] > 0


def test_training_ends_after_two_solved_evaluations_in_a_row_and_reports_the_first():
    result = run(job(CELLS["gru"], Echo()))
    assert result["status"] == "solved"
    steps, scores = zip(*result["curve"])
    assert steps == tuple(range(0, result["steps"] + 1, 10))
    assert result["solved_at"] == steps[-2]
    assert scores[-2:] == (1.0, 1.0)
    assert not any(a == b == 1.0 for a, b in itertools.pairwise(scores[:-1]))
    assert result["tests"] == {"length 9": 1.0}


def test_the_same_job_gives_the_same_numbers_and_another_seed_gives_others():
    often = TRAINED.with_values({"eval_every": 1})
    asked = job(CELLS["lstm"], Echo(), settings=often)
    first = run(asked)
    torch.manual_seed(99)  # the state of the caller's generator has no influence
    torch.set_num_threads(2)
    assert without_time(run(asked)) == without_time(first)
    assert torch.get_num_threads() == 2  # and the caller's threads are as before
    torch.set_num_threads(1)
    assert run(job(CELLS["lstm"], Echo(), seed=1, settings=often))["curve"] != first["curve"]


def test_a_job_leaves_the_callers_generator_as_it_was():
    before = torch.random.get_rng_state()
    run(job(CELLS["rnn"], Echo()))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_all_cells_of_a_seed_see_the_same_sequences_and_two_seeds_different_ones(monkeypatch):
    seen: list[torch.Tensor] = []

    def noted(self, outputs, batch):
        seen.append(batch.x)
        return torch.nn.functional.cross_entropy(outputs.flatten(0, 1), batch.target.flatten())

    monkeypatch.setattr(Echo, "loss", noted)
    short = TRAINED.with_values({"steps": 3})
    for cell, seed in (("gru", 0), ("lstm", 0), ("gru", 1)):
        run(job(CELLS[cell], Echo(), seed, short))
    a, b, c = seen[1:4], seen[5:8], seen[9:12]  # the first of each job is its warm-up
    assert all(torch.equal(x, y) for x, y in zip(a, b))
    assert not any(torch.equal(x, y) for x, y in zip(a, c))


def test_the_streams_of_random_numbers_differ():
    assert len({number(kind, seed) for kind in (WEIGHTS, TRAINING) for seed in range(20)}) == 40
    assert stream(TRAINING, 3).initial_seed() == number(TRAINING, 3)


def test_a_huge_learning_rate_diverges_and_that_is_a_result():
    settings = TRAINED.with_values({"optimizer": "sgd", "clip": 1e9})
    result = run(job(CELLS["residual"], Mean(), settings=settings, lr=1e6))
    assert result["status"] == "diverged"
    assert result["reason"].startswith(f"diverged at step {result['steps'] + 1}: ")
    assert result["score"] == Mean.chance
    assert all(torch.isfinite(torch.tensor(score)) for _, score in result["curve"])


def test_an_exception_in_a_job_becomes_a_status_with_its_text():
    assert run(job(CELLS["rnn"], Broken())) == {
        "seed": 0, "status": "failed", "reason": "KeyError: 'no such symbol'",
    }  # fmt: skip


def test_a_task_of_features_in_which_less_is_better_is_solved_from_below():
    settings = TRAINED.with_values({"steps": 400, "eval_every": 40, "hidden": 12})
    result = run(job(CELLS["gru"], replace(Mean()), settings=settings))
    assert result["status"] == "solved"
    assert result["score"] < 2 * Mean.solved < result["curve"][0][1]


def test_chrono_without_a_number_takes_the_length_of_a_sequence():
    torch.manual_seed(0)
    network = initial_network(trace(CELLS["lstm"]), Echo(), 50, 1, "chrono", T=40)
    bias = network.layer.gate_parameters("f")["bias_ih_l0"].exp() + 1
    assert 1.9 < bias.min() < 6
    assert 35 < bias.max() < 40.1


@pytest.mark.parametrize("layers", [1, 3])
def test_recurrent_weights_are_those_of_a_layer(layers):
    layer = Network(trace(CELLS["peephole-lstm"]), Echo(), 7, layers).layer
    assert recurrent_weights(trace(CELLS["peephole-lstm"]), 3, 7, layers) == sum(p.numel() for p in layer.parameters())


def test_the_key_of_a_job_changes_with_everything_that_changes_its_numbers():
    asked = job(CELLS["gru"], Echo())
    other = serial.dumps(trace(Leaky))
    changed = [
        replace(asked, seed=1), replace(asked, lr=0.01), replace(asked, cell=other), replace(asked, steps=61),
        replace(asked, init="orthogonal"), job(CELLS["gru"], Echo(length=6)), job(CELLS["gru"], Broken()),
    ]  # fmt: skip
    assert len({asked.key(), *(own.key() for own in changed)}) == 8
    assert job(CELLS["gru"], Echo()).key() == asked.key()


def test_a_task_of_the_library_is_known_by_its_name_and_an_own_one_by_its_file_too():
    assert "source" not in json.loads(job(CELLS["gru"], NamedTask("recall", (("length", 5),))).task_facts)
    assert len(json.loads(job(CELLS["gru"], Echo()).task_facts)["source"]) == 64


def test_the_time_of_a_step_is_measured_without_changing_the_callers_generator():
    before = torch.random.get_rng_state()
    assert 0 < timed(job(CELLS["gru"], Echo())) < 10
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_language_model_is_scored_on_held_out_text_and_writes_a_sample(tmp_path):
    path = tmp_path / "abc.txt"
    path.write_text("abcab cabbage\n" * 60)
    task = NamedTask(f"text:{path}", (("length", 12),))
    result = run(job(CELLS["gru"], task, settings=TRAINED.with_values({"steps": 5})))
    assert result["status"] == "unsolved"
    assert 0 < result["score"] < 5
    assert len(result["sample"]) == 200
    assert set(result["sample"]) <= set("abcge \n")
    assert run(job(CELLS["gru"], task, settings=TRAINED.with_values({"steps": 5})))["sample"] == result["sample"]


def test_a_file_with_another_text_is_another_job(tmp_path):
    def key(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        facts = json.loads(job(CELLS["gru"], NamedTask(f"text:{tmp_path / name}", (("length", 12),))).task_facts)
        return facts["data"]

    assert key("a", "ab ba\n" * 60) == key("b", "ab ba\n" * 60) != key("c", "ab bb\n" * 60)
