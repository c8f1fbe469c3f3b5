"""The arms of a comparison, equal sizes, and learning rates."""

import dataclasses
import json

import pytest
from tests.comparing.own import Echo, Leaky, Mean

from tidegate.calculus import trace
from tidegate.cells import CELLS
from tidegate.comparing import Settings
from tidegate.comparing.arm import differ_in
from tidegate.comparing.job import GivenTask, NamedTask
from tidegate.comparing.match import ROUNDS, match_seconds, match_weights, units
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.plan import as_cells, as_seeds, combinations, possible
from tidegate.comparing.rates import choose
from tidegate.errors import CheckpointError, TidegateError

ECHO = GivenTask(Echo())


def arms(cells, settings=None, **vary):
    return list(combinations(ECHO, as_cells(cells), settings or Settings(), vary))


def test_every_cell_is_combined_with_every_value_of_settings_and_parameters():
    made = arms(["gru", Leaky], lr=(0.1, 0.2), length=(4, 6, 8))
    assert len(made) == 12
    assert made[0].label == "gru, lr 0.1, length 4"
    assert {(arm.cell, arm.settings.lr, arm.task.length) for arm in made} == {
        (cell, lr, length) for cell in ("gru", "Leaky") for lr in (0.1, 0.2) for length in (4, 6, 8)
    }
    assert differ_in(made[0], made[1]) == ["cell"]
    assert differ_in(made[0], made[-1]) == ["cell", "lr", "length"]


def test_a_parameter_given_as_text_is_a_number_in_the_label_and_the_results():
    source = NamedTask("recall", (("symbols", "4"),))
    (arm,) = combinations(source, as_cells(["rnn"]), Settings(), {"length": ("7",)})
    assert arm.varied == {"length": 7}
    assert (arm.task.length, arm.task.symbols) == (7, 4)


@pytest.mark.parametrize(("first", "hidden"), [("gru", 64), ("lstm", 64), ("gru", 129), ("rnn", 128), ("rnn", 150)])
def test_recurrent_weights_are_equal_within_two_percent(first, hidden):
    matched, notes = match_weights(arms([first, *CELLS.keys() - {first}, Leaky], Settings(hidden=hidden)))
    assert matched[0].settings.hidden == hidden
    for arm in matched:
        assert arm.weights == pytest.approx(matched[0].weights, rel=0.02)
    assert notes == []


def test_the_sizes_follow_from_the_number_of_gates():
    rnn, gru, lstm = match_weights(arms(["rnn", "gru", "lstm"], Settings(hidden=400)))[0]
    assert rnn.settings.hidden / lstm.settings.hidden == pytest.approx(2, rel=0.02)
    assert gru.settings.hidden / lstm.settings.hidden == pytest.approx((4 / 3) ** 0.5, rel=0.02)


def test_small_sizes_that_cannot_be_equal_are_noted():
    matched, notes = match_weights(arms(["gru", "lstm"], Settings(hidden=7)))
    off = matched[1].weights / matched[0].weights - 1
    assert abs(off) > 0.02
    assert f"{100 * off:+.1f} % from the {matched[0].weights:,} of gru" in notes[0]


def test_each_setting_is_matched_with_the_first_cell_at_that_setting():
    matched, _ = match_weights(arms(["gru", "rnn"], hidden=(64, 128)))
    sizes = {arm.label: arm.settings.hidden for arm in matched}
    assert (sizes["gru, hidden 64"], sizes["gru, hidden 128"]) == (64, 128)
    assert 100 < sizes["rnn, hidden 64"] < 120 < 210 < sizes["rnn, hidden 128"] < 230


@pytest.mark.parametrize("target", [1, 2, 99, 100, 101, 10_000])
def test_the_number_of_units_is_the_nearest(target):
    best = min(range(1, 200), key=lambda H: abs(H * H + 3 * H - target))
    assert units(lambda H: H * H + 3 * H, target) == best


def test_equal_time_means_more_steps_for_a_faster_cell_and_is_measured_once(tmp_path):
    calls = []

    def measure(job):  # later rounds take longer, as on a machine with other load
        calls.append(job)
        return 0.002 * len(calls)

    first, notes = match_seconds(arms(["gru", "rnn"], Settings(steps=100, eval_every=10)), measure, tmp_path)
    assert [(arm.settings.steps, arm.settings.eval_every) for arm in first] == [(100, 10), (50, 5)]
    assert [arm.step_seconds for arm in first] == [0.002, 0.004]
    assert notes[1] == "rnn: 4.00 ms a step on this machine, so 50 steps."
    again, _ = match_seconds(arms(["gru", "rnn"], Settings(steps=100, eval_every=10)), measure, tmp_path)
    assert again == first
    assert len(calls) == 2 * ROUNDS
    (tmp_path / "timing.json").write_text("[")
    with pytest.raises(CheckpointError, match=r"timing.json cannot be used: .* Remove it"):
        match_seconds(arms(["gru"]), measure, tmp_path)


def test_an_arm_whose_cell_cannot_have_the_initialisation_is_left_out_with_the_reason():
    kept, notes = possible(arms(["gru", "rnn"], init=("default", "chrono")))
    assert [arm.label for arm in kept] == ["gru, init default", "rnn, init default", "gru, init chrono"]
    assert notes == [
        "rnn with init chrono is left out: RNN has no gate f or z that multiplies the old state, only ('n',)."
    ]


def outcome(seed, score, at=None):
    return Outcome(seed=seed, status="unsolved" if at is None else "solved", score=score, solved_at=at)


def test_the_rate_with_most_runs_solved_then_fewest_steps_then_best_score_is_chosen():
    runs = [
        [outcome(0, 1.0, 90), outcome(1, 0.9)],
        [outcome(0, 1.0, 90), outcome(1, 1.0, 50)],
        [outcome(0, 1.0, 40), outcome(1, 1.0, 50)],
        [outcome(0, 0.3), outcome(1, 0.2)],
    ]
    found = choose(Echo(), (0.1, 0.2, 0.3, 0.4), runs, steps=100)
    assert (found.rate, found.unfinished) == (0.3, False)
    assert [(t.solved, t.steps) for t in found.trials] == [(1, 95.0), (2, 70.0), (2, 45.0), (0, 100.0)]


@pytest.mark.parametrize(("scores", "rate", "unfinished"), [
    ((0.2, 0.5, 0.4), 0.2, False), ((0.6, 0.5, 0.4), 0.1, True), ((0.2, 0.5, 0.7), 0.3, True),
])  # fmt: skip
def test_a_best_rate_at_the_edge_of_the_grid_is_unfinished(scores, rate, unfinished):
    found = choose(Echo(), (0.1, 0.2, 0.3), [[outcome(0, s)] for s in scores], steps=10)
    assert (found.rate, found.unfinished) == (rate, unfinished)


def test_the_lowest_error_is_the_best_and_failed_runs_are_the_worst():
    failed = Outcome(seed=0, status="failed", reason="x")
    found = choose(Mean(), (0.1, 0.2, 0.3, 0.4), [[outcome(0, s)] for s in (0.5, 0.1, 0.3)] + [[failed]], steps=10)
    assert found.rate == 0.2
    assert json.dumps(dataclasses.asdict(found.trials[3])).endswith('"score": null}')


@pytest.mark.parametrize(("call", "message"), [
    (lambda: as_cells([]), "`cells` must be a list of cells"),
    (lambda: as_cells("gru,lstm"), "`cells` must be a list of cells, such as"),
    (lambda: as_cells(["gru", CELLS["gru"]]), "`cells` must differ, got gru twice."),
    (lambda: as_cells(["lstn"]), "Did you mean lstm?"),
    (lambda: as_cells([3]), "`cells` must be names, classes that derive from tidegate.Cell, or traced Steps, got 3."),
    (lambda: as_seeds(0), "`seeds` must be from 1 to 10,000, got 0."),
    (lambda: as_seeds([1, 1]), "`seeds` must be their number, or different integers"),
    (lambda: as_seeds([True]), "`seeds` must be their number, or different integers"),
    (lambda: arms(["gru"], lrr=(1,)), "one of hidden, layers, init,.* got 'lrr'. Did you mean lr?"),
    (lambda: arms(["gru"], lr=0.1), "`vary` must give a list of values for lr, got 0.1."),
    (lambda: arms(["gru"], lr=(0.1, 0.1)), "`vary` must give different values for lr, got 0.1, 0.1."),
    (lambda: arms(["gru"], lr=(0.1, -1)), "`lr` must be a positive number, got -1."),
    (lambda: arms(["gru"], hidden=(0.5,)), "`hidden` must be an integer of at least 1, got 0.5."),
    (lambda: possible(arms(["rnn"], init=("chrono",))), "`init` must suit one of the cells at least."),
    (lambda: Settings(init="choro"), "--init must be one of"),
    (lambda: Settings(optimizer="adm"), "Did you mean adam?"),
])  # fmt: skip
def test_bad_arguments_are_refused_in_a_sentence(call, message):
    with pytest.raises(TidegateError, match=message.replace("(", r"\(").replace("?", r"\?")):
        call()


def test_a_step_is_known_by_the_name_of_its_cell():
    assert list(as_cells([trace(CELLS["lstm"]), trace(Leaky)])) == ["lstm", "Leaky"]
