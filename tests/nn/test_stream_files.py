"""The states of a stream on the disk."""

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests.engines.cpu.calls import EVERY, same_bits

import tidegate
from tidegate.errors import CheckpointError
from tidegate.nn import Recurrent


@pytest.mark.parametrize("name", EVERY)
def test_a_stream_continues_from_a_saved_state(name, tmp_path):
    layer, x = Recurrent(EVERY[name], 4, 6, 2), torch.randn(3, 2, 4)
    s = tidegate.stream(layer, 2)
    s.step(x[0])
    s.save(tmp_path / "state.safetensors")
    other = tidegate.stream(layer, 2)
    other.step(x[2])
    other.load(str(tmp_path / "state.safetensors"))
    assert same_bits(other.step(x[1]), s.step(x[1]))
    assert [file.name for file in tmp_path.iterdir()] == ["state.safetensors"]


@pytest.mark.parametrize(
    ("model", "batch", "message"),
    [
        (lambda: tidegate.LSTM(4, 6), 2, "state of other equations: expected LSTM, got GRU"),
        (lambda: tidegate.GRU(4, 7), 2, r"0.h must be float32 \(2, 7\), got float32 \(2, 6\)"),
        (lambda: tidegate.GRU(4, 6), 3, r"0.h must be float32 \(3, 6\), got float32 \(2, 6\)"),
        (lambda: tidegate.GRU(4, 6, dtype=torch.float64), 2, r"must be float64 \(2, 6\), got float32"),
        (lambda: tidegate.GRU(4, 6, 2), 2, "other equations: expected GRU, GRU, got GRU"),
    ],
)
def test_the_state_of_another_stream_is_refused_and_nothing_changes(model, batch, message, tmp_path):
    path = tmp_path / "state"
    tidegate.stream(tidegate.GRU(4, 6), 2).save(path)
    s = tidegate.stream(model(), batch)
    s.step(torch.zeros(batch, dtype=torch.int64))
    before = s.state
    with pytest.raises(CheckpointError, match=message):
        s.load(path)
    after = s.state
    pairs = zip(after, before) if isinstance(before, tuple) else [(after, before)]
    assert all(same_bits(a, b) for a, b in pairs)


def test_a_damaged_missing_or_foreign_file_is_refused(tmp_path):
    s, path = tidegate.stream(tidegate.GRU(4, 6)), tmp_path / "state"
    with pytest.raises(CheckpointError, match="cannot be read as the state of a stream"):
        s.load(path)
    s.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match="cannot be read as the state of a stream"):
        s.load(path)
    path.write_bytes(whole)
    save_file(load_file(path), path)
    with pytest.raises(CheckpointError, match="expected format 'tidegate-stream-1' in its header, got None"):
        s.load(path)


def test_a_folder_that_does_not_exist_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r"cannot be written to .*No such file"):
        tidegate.stream(tidegate.GRU(4, 6)).save(tmp_path / "none" / "state")
