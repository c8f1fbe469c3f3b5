"""docs/gates.md: its tables are what its script measures, and they show what the page says."""

import re

import pytest
import torch
from tests.measured import FOLDER, by_label, in_page, limits, middle, page, rows, script

from measured import exact_gates, gate_figures, lags
from measured.situations import ONLY_AT, SITUATIONS
from measured.training import score, traced, unseen

PAGE = page("gates")
SCRIPT = script("gates")
QUICK = SCRIPT.measured(SCRIPT.QUICK_SEEDS, lags.QUICK)
ROOM = 0.1  # by which a network that is trained on another processor may leave the range of the page's networks


def within(new, printed):
    low, high = limits(printed)
    return low - ROOM <= middle(new) <= high + ROOM


def test_every_measured_table_and_figure_has_its_place():
    assert sorted(re.findall(r"<!-- measured: ([\w -]+) -->", PAGE)) == sorted(QUICK)
    assert sorted(re.findall(r"\(gates-([\w-]+)\.png\)", PAGE)) == sorted(SITUATIONS)
    assert all((FOLDER / f"gates-{name}.png").read_bytes().startswith(b"\x89PNG") for name in SITUATIONS)


@pytest.mark.parametrize("name", SITUATIONS)
def test_gates_of_a_network_trained_again_lie_in_the_ranges_of_the_page(name):
    printed, measured = by_label(in_page(PAGE, name)), by_label(rows(QUICK[name]()))
    assert "trained, all" in measured
    for label in printed.keys() & measured.keys():
        for old, new in zip(printed[label][1:], measured[label][1:], strict=True):
            assert within(new, old), (label, old, new)


def test_scores_with_gates_set_again_lie_in_the_ranges_of_the_page():
    printed, measured = in_page(PAGE, "gates set"), rows(QUICK["gates set"]())
    tasks = list(SITUATIONS.values())
    for old_row, new_row in zip(printed, measured, strict=True):
        assert old_row[0] == new_row[0]
        for situation, old, new in zip(tasks, old_row[1:], new_row[1:], strict=True):
            if situation.task.of_classes or middle(old) < situation.task.solved:
                assert within(new, old), (old_row[0], situation.shown, old, new)
            else:
                assert middle(new) > 0.2 * limits(old)[0], (old_row[0], situation.shown, old, new)


def test_the_exact_gates_are_measured_as_the_page_prints_them():
    for printed, measured in zip(in_page(PAGE, "exact"), rows(exact_gates.exact()), strict=True):
        assert printed[0] == measured[0]
        assert measured[1:] == pytest.approx(printed[1:], rel=0.02, abs=1e-12)


def test_only_r_and_z_closed_at_t_and_z_open_after_make_the_state_the_candidate_at_t():
    found = by_label(in_page(PAGE, "exact"))
    (*exact, r_open, z_open, z_free, from_zero) = found.values()
    assert len(exact) == 3
    for distance, own, others in exact:
        assert max(distance, others) < 1e-14
        assert own > 1
    assert min(r_open[0], r_open[2]) > 0.1
    assert z_open[1] == 0
    assert min(z_open[0], z_open[2]) > 0.1
    assert min(z_free[0], z_free[2]) > 0.1
    assert from_zero[2] == 0 < 0.5 < from_zero[1]


def test_the_constructed_network_has_the_exact_gates_and_no_mistake():
    task, batch = ONLY_AT.task, unseen(ONLY_AT.task)
    net = exact_gates.solution(task)
    gates = traced(net, batch)
    for gate in ("r", "z"):
        assert gates[gate][task.at].max() < 1e-6
        assert gates[gate][task.at + 1 :].min() > 1 - 1e-6
    assert score(net, task, batch) == 1
    with torch.no_grad():
        net.layer.gate_parameters("z")["weight_ih_l0"][:, task.output_size :] = 0  # z stays open at t'
    assert score(net, task, batch) < 0.3


def test_constructed_and_trained_networks_remember_over_ten_times_the_length():
    for found in (by_label(in_page(PAGE, "constructed")), by_label(rows(QUICK["constructed"]()))):
        constructed, trained, untrained = found.values()
        assert constructed == [1, 1, 0]
        assert min(middle(trained[0]), middle(trained[1])) > 0.95
        assert max(middle(untrained[0]), middle(untrained[1])) < 0.3


def test_cells_with_one_gate_fail_again_where_the_page_says_so():
    found = {(task, cell): row for task, cell, *row in rows(lags.lags(lags.QUICK))}
    for task in lags.SHOWN.values():
        assert found[task, "gru"][2] == "2 of 2"
    assert found["recall, 13 steps back", "reset-only-gru"][2] != "2 of 2"
    assert found["recall, 13 steps back", "update-only-gru"][2] == "2 of 2"
    task = "break, segments of 20 steps"
    assert found[task, "reset-only-gru"][3] > 1.5 * found[task, "gru"][3]


def test_the_table_of_lags_shows_what_the_page_says():
    found = {(task, cell): row for task, cell, *row in in_page(PAGE, "lags")}
    assert found["recall, 13 steps back", "reset-only-gru"][-1].startswith("worse in accuracy")
    for task in ("recall, 2 steps back", "recall, 13 steps back"):
        assert found[task, "update-only-gru"][-1] == "no difference seen"
    assert found["recall, 2 steps back", "reset-only-gru"][-1] == "no difference seen"
    for task in ("break, segments of 2 steps", "break, segments of 20 steps"):
        assert found[task, "update-only-gru"][-1].startswith("worse in steps")
        assert 1.2 <= found[task, "update-only-gru"][3] / found[task, "gru"][3] <= 1.6
    assert found[task, "reset-only-gru"][3] > 4 * found[task, "gru"][3]  # segments of 20 steps


def test_a_figure_has_a_panel_for_each_gate_and_a_line_for_each_group(tmp_path):
    gate_figures.draw("only-at", SCRIPT.QUICK_SEEDS, tmp_path / "only-at.png")
    assert (tmp_path / "only-at.png").stat().st_size > 10_000


def test_the_tables_of_the_situations_show_what_the_page_says():
    found = {name: by_label(in_page(PAGE, name)) for name in SITUATIONS}
    median = {name: [middle(cell) for cell in rows["trained, all"][1:]] for name, rows in found.items()}
    for rows_of_one in found.values():
        assert all(abs(middle(cell) - 0.5) < 0.03 for cell in rows_of_one["untrained, all"][1:])
    assert middle(found["recall"]["trained, copied"][2]) > 0.95
    z_before, z_at, z_after, r_before, r_at, r_after = median["adding"]
    assert z_at < z_before - 0.1 < z_after - 0.1
    assert max(abs(r - 0.5) for r in (r_before, r_at, r_after)) < 0.05
    assert max(median["skip"][:3]) < 0.1
    z_before, z_at, _, r_before, r_at, _ = median["break"]
    assert z_at < z_before - 0.05
    assert r_at < r_before - 0.1
    assert median["only-at"][1] == min(median["only-at"][:3])


def test_the_networks_need_the_gates_that_the_page_names():
    names = list(SITUATIONS)
    found = {
        label: dict(zip(names, map(middle, cells))) for label, cells in by_label(in_page(PAGE, "gates set")).items()
    }
    free = found["nothing"]
    for name, situation in SITUATIONS.items():
        best, worst = sorted([free[name], situation.task.solved], reverse=situation.task.higher_is_better)
        assert (best, worst) == (free[name], situation.task.solved)  # every trained network solves its task
        assert found["z = 1 at the events"][name] != pytest.approx(free[name], rel=0.5)
    assert found["z = 0 at the kept steps"]["recall"] < 0.5
    assert found["z = 1 at the kept steps"]["skip"] == found["z = 0 at the kept steps"]["skip"] == 1
    for name in ("recall", "skip", "only-at"):
        assert found["r = 0 at the kept steps"][name] < 0.5
    assert found["r = 0 at the events"]["break"] < SITUATIONS["break"].task.solved
    assert found["r = 1 at the events"]["break"] > 300 * free["break"]
    assert found["z = 1 at the events"]["break"] > SITUATIONS["break"].task.chance
    assert found["r = 0 at the events"]["only-at"] == found["r = 1 at the events"]["only-at"] == 1
    assert found["r = 0 and z = 0 at the events, z = 1 at the kept steps"]["only-at"] == 1
