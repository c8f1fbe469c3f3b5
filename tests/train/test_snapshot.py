import pytest
import torch

from tidegate.errors import CheckpointError
from tidegate.train import checkpoint, snapshot
from tidegate.train.interrupt import Interrupt
from tidegate.train.loop import Stopped


def trained(trainer, stop_after=None):
    """Train to the end, or until a signal asks to stop after so many steps."""
    interrupt = Interrupt()

    def after_step(trainer):
        if trainer.position.step == stop_after:
            interrupt.received = 2

    if stop_after is None:
        trainer.train(interrupt)
    else:
        with pytest.raises(Stopped):
            trainer.train(interrupt, after_step)
    return trainer


SETTINGS = [
    {"cell": "gru"},
    {"cell": "lstm", "optimizer": "sgd", "schedule": "constant"},
    {"cell": "reset-before-gru", "dropout": 0.3},
    {"cell": "rnn", "sampling": "random"},
]


@pytest.mark.parametrize("fields", SETTINGS, ids=lambda fields: fields["cell"])
@pytest.mark.parametrize("stop", [1, 27, 54], ids=lambda n: f"after {n}")
def test_training_2n_steps_and_stopping_on_the_way_give_the_same_bits(trainer_of, tmp_path, fields, stop):
    straight = trained(trainer_of(**fields))
    assert straight.position.step > stop

    stopped = trained(trainer_of(**fields), stop)
    checkpoint.save(tmp_path / "last.safetensors", snapshot.capture(stopped))
    torch.rand(7)  # whatever happened to the global generator in between
    resumed = trainer_of(**fields)
    snapshot.restore(resumed, checkpoint.load(tmp_path / "last.safetensors"))
    trained(resumed)

    assert resumed.position.step == straight.position.step
    assert list(resumed.position.losses) == list(straight.position.losses)
    one, other = snapshot.capture(straight).tensors, snapshot.capture(resumed).tensors
    assert one.keys() == other.keys()
    assert [name for name in one if not torch.equal(one[name], other[name])] == []


def test_a_resumed_run_differs_without_the_moments_or_the_carried_state(trainer_of):
    """Dropping either must change the result: the test above could not pass without them."""
    straight = trained(trainer_of())
    for dropped in ("optimizer", "state"):
        saved = snapshot.capture(trained(trainer_of(), 30))
        resumed = trainer_of()
        snapshot.restore(resumed, saved)
        if dropped == "optimizer":
            resumed.optimizer.state.clear()
        else:
            resumed.state = torch.zeros_like(resumed.state)
        trained(resumed)
        assert not torch.equal(resumed.model.head.weight, straight.model.head.weight)


def test_the_fused_update_is_that_of_the_device_and_not_of_the_checkpoint(trainer_of):
    saved = snapshot.capture(trained(trainer_of(), 5))
    resumed = trainer_of()
    resumed.optimizer.param_groups[0]["fused"] = False  # as on a device without it
    snapshot.restore(resumed, saved)
    assert resumed.optimizer.param_groups[0]["fused"] is False
    assert resumed.optimizer.param_groups[0]["lr"] == saved.facts["optimizer"][0]["lr"]
    resumed.step()


def test_a_checkpoint_of_a_gpu_is_continued_on_the_cpu(trainer_of):
    """It holds the state of the GPU's generator too, which a CPU has no use for."""
    saved = snapshot.capture(trained(trainer_of(), 5))
    saved.tensors["random_cuda"] = torch.zeros(16, dtype=torch.uint8)
    resumed = trainer_of()
    snapshot.restore(resumed, saved)
    resumed.step()
    assert resumed.position.step == 6


@pytest.mark.parametrize(
    "spoil",
    [
        lambda checkpoint: checkpoint.facts.pop("optimizer"),
        lambda checkpoint: checkpoint.facts.update(optimizer=[]),
        lambda checkpoint: checkpoint.facts.update(state="code"),
        lambda checkpoint: checkpoint.facts.update(position=3),
        lambda checkpoint: checkpoint.tensors.pop("random"),
        lambda checkpoint: checkpoint.tensors.update(random=torch.zeros(3, dtype=torch.uint8)),
        lambda checkpoint: checkpoint.tensors.update({"optimizer.x.y": torch.zeros(1)}),
    ],
)
def test_a_checkpoint_with_an_invalid_optimiser_or_position_is_refused(trainer_of, spoil):
    saved = snapshot.capture(trained(trainer_of(), 5))
    spoil(saved)
    with pytest.raises(CheckpointError, match="the checkpoint cannot be continued: its optimiser, state or position"):
        snapshot.restore(trainer_of(), saved)


def test_weights_of_another_shape_are_refused_by_name(trainer_of):
    saved = snapshot.capture(trainer_of(hidden=8))
    with pytest.raises(CheckpointError, match=r"another model: head.weight must be \(\d+, 9\), got \(\d+, 8\)"):
        snapshot.restore(trainer_of(hidden=9), saved)
