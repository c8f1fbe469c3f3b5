"""A short stress test of single steps, and weights that are out of date, which it must find."""

import os

import pytest
from tests.nn import short_route_stress

from tidegate.engines.cpu import boundary
from tidegate.nn import short_route

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def no_form_is_known(monkeypatch):
    monkeypatch.setattr(short_route.known, "forms", {})
    monkeypatch.setattr(short_route.known, "seen", {})


def test_steps_in_threads_and_forked_children_have_the_bits_of_the_general_route():
    assert short_route_stress.run(0, lambda number: number < 2) == []


def test_it_detects_addresses_that_are_out_of_date(monkeypatch):
    right, kept = boundary.addresses, {}

    def stale(tensors, extents):
        found = right(tensors, extents)
        known, _ = kept.setdefault(id(extents), (found, tensors))  # keeps the tensors, so that the memory stays theirs
        return [*found[:1], *known[1:]]

    monkeypatch.setattr(boundary, "addresses", stale)
    assert any("differ" in wrong for wrong in short_route_stress.run(0, lambda number: number < 1))
