"""compare: what it returns, that it goes on where it was stopped, and that it claims what was planted."""

import json
from dataclasses import dataclass, replace

import pytest
import torch
from tests.comparing.own import Broken, Echo, Leaky, Mean

import tidegate
from tidegate.cells import CELLS
from tidegate.comparing import Settings
from tidegate.comparing.arm import Arm
from tidegate.comparing.comparison import Comparison
from tidegate.comparing.outcome import Outcome
from tidegate.comparing.progress import Progress
from tidegate.comparing.streams import TRAINING, number
from tidegate.errors import ArgumentError, CheckpointError, TidegateError


class Noted(Progress):
    """Counts the jobs that ran and those whose results were there."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, int]] = []
        self.stored = 0

    def ended(self, arm: Arm, outcome: Outcome, *, tuning: bool, stored: bool) -> None:
        if stored:
            self.stored += 1
        else:
            self.ran.append((arm.label, outcome.seed))


def numbers(found: Comparison) -> dict:
    """A comparison as JSON values, without measured times."""

    def without(value):
        if isinstance(value, dict):
            return {name: without(item) for name, item in value.items() if name != "seconds"}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(found.as_dict())


def run(small: Settings, cells=("gru", "rnn"), task=None, **options) -> Comparison:
    return tidegate.compare(task or Echo(), list(cells), settings=small, **{"seeds": 2, "workers": 1, **options})


def test_it_is_public_and_returns_an_arm_for_every_cell_of_any_kind(small):
    found = run(small, [*CELLS.values(), Leaky], seeds=1, match="units")
    assert [arm.label for arm in found.arms] == [*CELLS, "Leaky"]
    assert {arm.settings.hidden for arm in found.arms} == {6}
    assert all(arm.outcomes[0].status in ("solved", "unsolved") for arm in found.arms)
    assert json.dumps(found.as_dict(), allow_nan=False)
    assert len(found.verdicts) == len(found.arms) * (len(found.arms) - 1) / 2
    assert len(str(found).splitlines()) >= 2 + len(found.arms)


def test_a_cell_that_cannot_learn_is_worse_and_that_is_claimed(small):
    """The planted difference: a cell whose output does not depend on the input."""

    class Blind(tidegate.Cell):
        gates = ("n",)
        state = ("h",)

        def equations(a, U, h):
            n = tidegate.tanh(U.n(h) + 1e-9 * a.n)
            return (n,), (n,)

    settings = small.with_values({"steps": 60, "hidden": 12, "eval_every": 10})
    found = run(settings, ["gru", Blind], seeds=7)
    (verdict,) = found.verdicts
    assert (verdict.kind, verdict.better, verdict.measure) == ("better", "gru", "accuracy")
    assert verdict.difference == pytest.approx(2 / 3, abs=0.1)
    assert found.arm("gru").summary.share == 1
    assert found.arm("Blind").summary.score[1] == pytest.approx(1 / 3, abs=0.08)
    assert "gru is better than Blind on this task at this budget" in str(found)


def test_the_same_cell_twice_gives_the_same_numbers_and_no_difference(small):
    class Copy(CELLS["gru"]):
        pass

    found = run(small, ["gru", Copy], seeds=6)
    first, second = found.arms
    assert [o.curve for o in first.outcomes] == [o.curve for o in second.outcomes]
    assert found.verdicts[0].kind == "no difference"


def test_finished_jobs_are_never_run_again_and_the_table_is_the_same(small, tmp_path):
    first, again, more = Noted(), Noted(), Noted()
    before = run(small, out=tmp_path, progress=first)
    assert (len(first.ran), first.stored) == (4, 0)
    assert numbers(run(small, out=tmp_path, progress=again)) == numbers(before)
    assert (again.ran, again.stored) == ([], 4)
    run(small, ["gru", "lstm"], out=tmp_path, progress=more)
    assert sorted(more.ran) == [("lstm", 0), ("lstm", 1)]
    assert numbers(run(small)) == numbers(before)  # without a folder too


def test_a_result_that_cannot_be_read_is_refused_by_name(small, tmp_path):
    run(small, ["gru"], out=tmp_path, seeds=1)
    (file,) = (tmp_path / "jobs").glob("*.json")
    content = json.loads(file.read_text())
    for bad in ("{", "[]", json.dumps({**content, "job": {}}), json.dumps({**content, "result": {"seed": 0}})):
        file.write_text(bad)
        with pytest.raises(
            CheckpointError, match=rf"{file.name} cannot be used: .* Remove it, and its job runs again\."
        ):
            run(small, ["gru"], out=tmp_path, seeds=1)


def test_a_failed_job_is_reported_and_run_again_the_next_time(small, tmp_path, monkeypatch):
    class LostError(Exception):
        pass

    def fails(self, size, generator):
        if generator.initial_seed() == lost:
            raise LostError("gone")
        return make(self, size, generator)

    make, lost = Echo.batch, number(TRAINING, 1)
    monkeypatch.setattr(Echo, "batch", fails)
    found = run(small, ["gru"], out=tmp_path)
    assert [o.status for o in found.arms[0].outcomes] == ["unsolved", "failed"]
    assert "Failed: LostError: gone (1 of 2 seeds failed)." in str(found)
    assert found.arms[0].summary.runs == 1
    monkeypatch.setattr(Echo, "batch", make)
    noted = Noted()
    run(small, ["gru"], out=tmp_path, progress=noted)
    assert (noted.ran, noted.stored) == ([("gru", 1)], 1)


def test_a_task_that_cannot_be_trained_at_all_is_refused(small):
    with pytest.raises(ArgumentError, match="every job failed, the first with KeyError: 'no such symbol'"):
        run(small, task=Broken())


def test_divergence_is_a_result_with_its_step_and_the_share_of_seeds(small):
    settings = small.with_values({"optimizer": "sgd", "clip": 1e9, "lr": 1e6})
    found = run(settings, ["residual"], task=Mean(), seeds=3)
    assert found.arms[0].summary.diverged == 3
    assert found.arms[0].summary.score == (Mean.chance,) * 3
    step = found.arms[0].outcomes[0].steps + 1
    assert f"Diverged at step {step}: loss" in str(found)
    assert "(3 of 3 seeds diverged)." in str(found)
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_learning_rate_is_chosen_for_each_cell_on_seeds_that_are_not_reported(small):
    noted = Noted()
    settings = replace(small, lr=None, steps=30)
    found = run(settings, ["gru", "rnn"], rates=(1e-5, 3e-2), progress=noted, tuning_seeds=2)
    assert len(noted.ran) == 2 * (2 * 2 + 2)
    assert not set(found.tuning_seeds) & set(found.seeds)
    for arm in found.arms:
        assert arm.rate.rate == arm.settings.lr == 3e-2
        assert [trial.rate for trial in arm.rate.trials] == [1e-5, 3e-2]
        assert arm.rate.trials[1].score > arm.rate.trials[0].score
        assert f"{arm.label}: unfinished. Its best learning rate, 0.03, is at the edge" in str(found)


def test_a_varied_learning_rate_is_not_chosen_and_its_values_are_compared(small):
    found = run(small, ["gru", "rnn"], vary={"lr": (0.03, 0.001)})
    assert [arm.label for arm in found.arms] == ["gru, lr 0.03", "rnn, lr 0.03", "gru, lr 0.001", "rnn, lr 0.001"]
    assert found.tuning_seeds == ()
    assert len(found.verdicts) == 4  # two cells at each rate, two rates of each cell, never both at once


def test_arms_of_different_tasks_are_not_compared_with_each_other(small):
    found = run(small, ["gru", "rnn"], vary={"length": (3, 8)})
    assert [(v.first, v.second) for v in found.verdicts] == [
        ("gru, length 3", "rnn, length 3"), ("gru, length 8", "rnn, length 8"),
    ]  # fmt: skip
    assert "length" not in found.task["parameters"]


def test_equal_time_keeps_its_measured_steps_in_the_folder(small, tmp_path):
    first = run(small, out=tmp_path, match="seconds")
    again = run(small, out=tmp_path, match="seconds")
    assert numbers(again) == numbers(first)
    assert "All train for the same time." in str(first)
    gru, rnn = (arm.step_seconds * arm.settings.steps for arm in first.arms)
    assert gru == pytest.approx(rnn, rel=0.5)  # whole numbers of a few steps


def test_the_curve_of_a_run_that_ended_keeps_its_last_score(small):
    settings = small.with_values({"steps": 60, "hidden": 12, "eval_every": 10})
    found = run(settings, ["gru", "residual-sigmoid"], seeds=3)
    own = found.arm("gru")
    ends = [o.curve[-1][0] for o in own.outcomes]
    assert own.summary.curve_steps[-1] == max(ends)
    assert own.summary.curve.shape == (len(own.summary.curve_steps), 3)
    assert own.summary.curve[-1] == pytest.approx([1, 1, 1])


@pytest.mark.parametrize(("options", "message"), [
    ({"match": "weight"}, "`match` must be one of weights, units, seconds, got 'weight'. Did you mean weights?"),
    ({"workers": 0}, "`workers` must be an integer of at least 1, got 0."),
    ({"tuning_seeds": 0}, "`tuning_seeds` must be an integer of at least 1, got 0."),
    ({"rates": (0.1,)}, "`rates` must be left out where a learning rate is given or varied"),
    ({"task": 3}, "`task` must be a name or a tidegate.tasks.Task, got int."),
    ({"parameters": {"lenght": 3}}, "the task echo has no parameter `lenght`"),
])  # fmt: skip
def test_bad_arguments_are_refused_before_anything_is_trained(small, options, message, monkeypatch):
    monkeypatch.setattr("tidegate.comparing.runner.run_all", None)
    with pytest.raises(TidegateError) as error:
        run(small, **options)
    assert message in str(error.value)


def test_rates_must_increase_and_be_given_where_optimizers_are_varied(small):
    free = replace(small, lr=None)
    with pytest.raises(ArgumentError, match="`rates` must be positive numbers in increasing order"):
        run(free, rates=(0.1, 0.01))
    with pytest.raises(ArgumentError, match="`rates` must be given where optimizer is varied"):
        run(free, vary={"optimizer": ("adam", "sgd")})


def test_a_folder_that_cannot_be_written_is_refused(small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="`out` must be a writable folder"):
        run(small, out=tmp_path / "file")


def test_an_own_task_without_a_file_cannot_be_recognised_again(small):
    scope: dict = {"Echo": Echo, "dataclass": dataclass, "__name__": "nowhere"}
    exec("@dataclass(frozen=True)\nclass Lost(Echo):\n    pass", scope)
    with pytest.raises(ArgumentError, match="whose source cannot be found"):
        run(small, task=scope["Lost"]())


def test_jobs_side_by_side_give_the_same_numbers_as_one_after_another(small):
    torch.manual_seed(5)
    alone = run(small, task="recall", parameters={"length": 4})
    assert numbers(run(small, task="recall", parameters={"length": 4}, workers=2)) == numbers(alone)


def test_the_results_are_drawn_and_shown_in_a_notebook(small):
    found = run(small)
    axes = found.plot()
    assert [line.get_label() for line in axes.get_lines()][:2] == ["gru", "rnn"]
    assert "data:image/png;base64," in found._repr_html_()


def test_a_cell_is_matched_with_the_first_one_even_where_that_is_left_out(small):
    wide = small.with_values({"hidden": 40, "steps": 1})
    found = run(wide, ["gru", "lstm"], seeds=1, vary={"init": ("default", "forget-bias:2")})
    assert [arm.label for arm in found.arms] == [
        "gru, init default", "lstm, init default", "lstm, init forget-bias:2",
    ]  # fmt: skip
    assert len({arm.settings.hidden for arm in found.arms[1:]}) == 1
    assert found.arms[2].recurrent_weights == pytest.approx(found.arms[0].recurrent_weights, rel=0.02)


def test_pairs_with_too_few_seeds_are_one_sentence(small):
    text = str(run(small, ["gru", "rnn", "lstm"], match="units"))
    assert (
        "3 pairs: too few seeds. With 2 the smallest possible p-value is 0.5; 7 seeds are needed for 3 pairs." in text
    )
    assert text.count("too few seeds") == 1
