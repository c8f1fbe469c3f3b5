import pytest

from tidegate.errors import CheckpointError
from tidegate.train.log import Log, read


def test_records_are_read_in_order_with_any_character(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    records = [{"step": k, "sample": "a\n\u2028é"} for k in range(3)]
    for record in records:
        log.append(record)
    assert read(log.path) == records


def test_an_incomplete_last_line_is_left_out_and_removed(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    log.append({"step": 1})
    with open(log.path, "a") as file:
        file.write('{"step": 2, "tra')
    assert read(log.path) == [{"step": 1}]
    log.truncate(5)
    log.append({"step": 3})
    assert read(log.path) == [{"step": 1}, {"step": 3}]


def test_records_after_the_checkpoint_are_removed(tmp_path):
    log = Log(tmp_path / "log.jsonl")
    for step in range(5):
        log.append({"step": step})
    log.truncate(2)
    assert [record["step"] for record in read(log.path)] == [0, 1, 2]


def test_a_failed_write_is_reported_with_how_to_continue(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(CheckpointError, match=r"cannot write .*log.jsonl: .* --resume"):
        Log(tmp_path / "log.jsonl").append({"step": 1})
