"""docs/questions.md: its tables are what its script measures, and they show what the page says."""

import doctest
import re

import pytest
from tests.measured import FOLDER, by_label, in_page, middle, page, rows, script

PAGE = page("questions")
TRAINED = ("opening", "fixed lag", "batches")
SCRIPT = script("questions")


@pytest.mark.parametrize("name", [name for name in SCRIPT.MEASURED if name not in TRAINED])
def test_a_new_measurement_reproduces_the_tables_of_the_page(name):
    for printed, measured in zip(in_page(PAGE, name), rows(SCRIPT.MEASURED[name]()), strict=True):
        for old, new in zip(printed, measured, strict=True):
            if isinstance(old, float) and (old > 1e-9 or new > 1e-9):  # below, only that it is nothing counts
                assert new == pytest.approx(old, rel=0.1, abs=0.02)
            elif isinstance(old, str):
                assert new == old


@pytest.mark.parametrize("name", TRAINED)
def test_networks_that_are_trained_again_agree_with_the_tables_of_the_page(name):
    """Rounding differs between processors, and training amplifies it."""
    for printed, measured in zip(in_page(PAGE, name), rows(SCRIPT.MEASURED[name]()), strict=True):
        assert measured[0] == printed[0]
        for old, new in zip(printed[1:], measured[1:], strict=True):
            assert middle(new) == pytest.approx(middle(old), rel=1.0, abs=0.15)


def test_the_tables_of_layers_agree_with_the_text_of_the_page():
    explode = by_label(in_page(PAGE, "explode"))
    assert explode["residual, tanh"][2] > 100 * explode["GRU, bias of z + 3"][2]
    assert explode["GRU, bias of z + 3"][2] > 100 * explode["GRU"][2]
    vanish = by_label(in_page(PAGE, "vanish"))
    assert vanish["plain RNN"][0] < 1e-20
    assert vanish["GRU, bias of z + 4"][2] == "32 of 32"
    assert {(r, z): distances for r, z, *distances in in_page(PAGE, "gates")}[0, 0][2] < 1e-9
    assert in_page(PAGE, "relu")[0][3] == 1


def test_each_gate_alone_can_keep_or_discard_and_only_both_can_do_both():
    found = by_label(in_page(PAGE, "two gates"))
    kept, left = ({name: row[k] for name, row in found.items()} for k in (1, 2))
    assert min(kept["GRU"], kept["UpdateOnlyGRU"]) > 0.5 > 0.01 > kept["ResetOnlyGRU"]
    assert max(left["GRU"], left["ResetOnlyGRU"]) < 1e-9 < 0.1 < left["UpdateOnlyGRU"]


def test_short_lags_are_learned_first_and_gradients_reach_further_back_afterwards():
    found = in_page(PAGE, "opening")
    assert [row[0] for row in found] == sorted(row[0] for row in found)
    z, used, error = [row[3] for row in found], [row[4:7] for row in found], [row[7] for row in found]
    assert found[0][2] < 1e-5 < 0.1 < found[-1][2]
    assert z[0] == pytest.approx(0.5, abs=0.02)
    assert z[-1] > 0.7
    assert used[1][0] > 3 * used[1][1] > 9 * used[1][2]
    assert error[-1] < 0.03 * error[1]


def test_a_long_lag_alone_is_learned_with_other_biases_lags_or_rates():
    plain, rate, chrono, short = in_page(PAGE, "fixed lag")
    assert middle(plain[3]) < 0.2
    assert all(middle(row[3]) > 0.95 for row in (rate, chrono, short))
    assert plain[2] < 1e-3 < 0.1 < min(rate[2], chrono[2], short[2])


def test_a_large_batch_needs_as_many_updates_and_its_gradients_do_not_explode():
    found = by_label(in_page(PAGE, "batches"))
    small, same, scaled, updates = found.values()
    assert small[3] == updates[3] == 8 * same[3]
    assert min(small[5], updates[5]) > 0.95 > 0.9 > scaled[5] > 2 * same[5]
    assert same[6] == min(row[6] for row in found.values())


def test_the_ratios_of_weights_are_those_of_the_page():
    found = by_label(in_page(PAGE, "sizes"))
    assert found["GRU"][0] / found["LSTM"][0] == 3 / 4
    assert found["LSTM"][2] / 256 == pytest.approx(0.85, abs=0.005)
    assert found["LSTM"][4] / 256 == pytest.approx(1.7, abs=0.005)


def test_relu_vanishes_and_explodes():
    found = by_label(in_page(PAGE, "relu steps"))
    assert found[1][4] < 1e-7 < 1e9 < found[2][5]


def test_the_examples_of_the_page_give_what_they_show():
    result = doctest.testfile(str(FOLDER / "questions.md"), module_relative=False)
    assert result.attempted > 8
    assert result.failed == 0


def test_every_measured_table_has_its_place():
    assert re.findall(r"<!-- measured: ([\w -]+) -->", PAGE) == list(SCRIPT.MEASURED)
