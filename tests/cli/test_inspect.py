"""`tidegate inspect` as a user calls it."""

import json

import pytest
from tests.insight.trained import TINY, made_text, train_run

from tidegate.insight import effort


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(effort, "FULL", TINY)
    monkeypatch.setattr(effort, "QUICK", TINY)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return train_run(tmp_path_factory.mktemp("inspected"))


def test_it_prints_findings_and_two_charts_and_writes_page_and_numbers(tidegate, made):
    outcome = tidegate("inspect", made, "--quick")
    assert outcome.code == 0, outcome.err
    for part in (
        "bits per character",
        "Gradient of the loss of one prediction against the lag",
        "Loss against the number of last",
    ):
        assert part in outcome.out
    numbers = json.loads((made / "inspect.json").read_text())
    assert numbers["tidegate"] == "inspection"
    page = (made / "inspect.html").read_text()
    assert page.startswith("<!doctype html>")
    for finding in numbers["findings"]:
        assert finding["sentence"][:60] in outcome.out


def test_two_runs_are_shown_on_one_text(tidegate, made, tmp_path):
    second = train_run(tmp_path / "b", "lstm", epochs=1)
    outcome = tidegate("inspect", made, second, "--out", tmp_path / "both")
    assert outcome.code == 0, outcome.err
    both = json.loads((tmp_path / "both" / "inspect.json").read_text())
    assert [one["run"]["cell"] for one in both] == ["gru", "lstm"]


def test_another_text_and_its_span(tidegate, made, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text(made_text(5000))
    outcome = tidegate("inspect", made, other, "--span", "100:180", "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    passage = json.loads((tmp_path / "inspect.json").read_text())["passage"]
    assert (passage["start"], passage["text"]) == (100, made_text(5000)[100:180])


@pytest.mark.parametrize(("arguments", "message"), [
    (("--layer", 3), "--layer must be in 0..0, the layers of"),
    (("--units", "3,99"), "--units must be in 0..11, the units of"),
    (("--units", "3,x"), "expected an integer such as 64, got 'x'"),
    (("--span", "17"), "expected START:STOP such as 1000:1600, got '17'"),
    (("--span", "9:5"), "--span must be START:STOP with 3 to 5,000 tokens"),
    (("--checkpoint", "bset"), "one of last, best, got 'bset'. Did you mean best?"),
    (("no-such-text",), "no-such-text"),
    (("a.txt", "b.txt"), "if there are three arguments, the second must be the folder of a run"),
])  # fmt: skip
def test_bad_arguments_are_refused_in_a_sentence(tidegate, made, arguments, message):
    outcome = tidegate("inspect", made, *arguments)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert "Traceback" not in outcome.err


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tidegate, made, tmp_path, monkeypatch):
    monkeypatch.setattr("tidegate.insight.inspection.inspect", None)
    (tmp_path / "file").write_text("")
    outcome = tidegate("inspect", made, "--out", tmp_path / "file")
    assert outcome.code == 2
    assert "--out must be a writable folder" in outcome.err


def test_ctrl_c_says_that_nothing_was_written(tidegate, made, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("tidegate.insight.inspection.inspect_all", interrupted)
    outcome = tidegate("inspect", made, "--out", tmp_path)
    assert outcome.code == 130
    assert "Stopped. Nothing was written." in outcome.err
    assert not (tmp_path / "inspect.html").exists()


def test_the_files_are_written_before_anything_is_printed(tidegate, made, tmp_path, monkeypatch):
    def closed(*_):
        raise BrokenPipeError

    monkeypatch.setattr("tidegate.report.terminal.print_inspection", closed)
    with pytest.raises(BaseException):  # noqa: B017, PT011, however the command ends
        tidegate("inspect", made, "--out", tmp_path)
    assert (tmp_path / "inspect.html").is_file()
    assert (tmp_path / "inspect.json").is_file()
