"""What happens to a torch.nn layer in a program happens to its twin: saving, moving, wrapping, compiling, training."""

import copy
import io
import pickle
from collections import OrderedDict

import pytest
import torch
import torch.multiprocessing
from torch import nn
from torch.nn.utils import parametrizations, parametrize
from torch.utils.data import DataLoader, Dataset

import tidegate

TWINS = [(tidegate.RNN, nn.RNN), (tidegate.GRU, nn.GRU), (tidegate.LSTM, nn.LSTM)]
LAYERS = [
    lambda **k: tidegate.RNN(3, 4, **k),
    lambda **k: tidegate.GRU(3, 4, **k),
    lambda **k: tidegate.LSTM(3, 4, **k),
    lambda **k: tidegate.ResetBeforeGRU(3, 4, **k),
    lambda **k: tidegate.PeepholeLSTM(3, 4, **k),
    lambda **k: tidegate.ResidualRNN(3, 4, **k),
    lambda **k: tidegate.Recurrent(tidegate.cells.GRU, 3, 4, **k),
]
each_layer = pytest.mark.parametrize(
    "make", LAYERS, ids=["RNN", "GRU", "LSTM", "before", "peephole", "residual", "own"]
)
each_twin = pytest.mark.parametrize(("ours", "torchs"), TWINS, ids=["RNN", "GRU", "LSTM"])


def same(a, b) -> bool:
    a, b = (torch.utils._pytree.tree_leaves(t) for t in (a, b))
    return len(a) == len(b) and all(map(torch.equal, a, b))


def near(a, b, tolerance=2e-6) -> bool:
    a, b = (torch.utils._pytree.tree_leaves(t) for t in (a, b))
    return len(a) == len(b) and all(torch.allclose(s, t, rtol=tolerance, atol=tolerance) for s, t in zip(a, b))


@each_twin
def test_checkpoints_can_be_loaded_in_both_directions(ours, torchs):
    a, b = ours(3, 4, 2, bidirectional=True), torchs(3, 4, 2, bidirectional=True)
    x = torch.randn(5, 2, 3)
    a.load_state_dict(b.state_dict())
    assert list(a.state_dict()) == list(b.state_dict())
    assert near(a(x), b(x))
    nn.init.ones_(a.weight_hh_l0)
    b.load_state_dict(a.state_dict())
    assert near(a(x), b(x))


@each_twin
def test_a_twin_is_an_instance_and_has_its_engine_in_its_repr(ours, torchs):
    layer = ours(3, 4, num_layers=2, dropout=0.5, bidirectional=True)
    assert isinstance(layer, torchs)
    assert repr(layer) == repr(torchs(3, 4, num_layers=2, dropout=0.5, bidirectional=True))[:-1] + ", engine='auto')"


def test_cells_torch_does_not_have_are_not_its_instances():
    assert not isinstance(tidegate.ResetBeforeGRU(3, 4), nn.GRU)
    assert not isinstance(tidegate.PeepholeLSTM(3, 4), nn.LSTM)
    assert repr(tidegate.Recurrent(tidegate.cells.GRU, 3, 4)) == "Recurrent(GRU, 3, 4, engine='auto')"


@each_twin
def test_initial_values_of_a_seed_are_those_of_torch(ours, torchs):
    torch.manual_seed(3)
    a = ours(3, 4, 2)
    torch.manual_seed(3)
    b = torchs(3, 4, 2)
    assert same(list(a.parameters()), list(b.parameters()))
    a.reset_parameters()
    assert not same(list(a.parameters()), list(b.parameters()))


@each_layer
def test_copies_pickles_and_saved_layers_compute_the_same(make):
    layer, x = make(num_layers=2, bidirectional=True), torch.randn(5, 2, 3)
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    for other in (
        copy.deepcopy(layer),
        pickle.loads(pickle.dumps(layer)),
        torch.load(file, weights_only=False),
    ):
        assert type(other) is type(layer)
        assert same(other(x), layer(x))
        assert not set(other.parameters()) & set(layer.parameters())


@each_layer
def test_layers_move_to_another_dtype(make):
    layer, x = make(), torch.randn(5, 2, 3)
    expected = layer(x)
    assert near(layer.double()(x.double()), torch.utils._pytree.tree_map(torch.Tensor.double, expected))
    for dtype in (torch.bfloat16, torch.half):
        y, _ = layer.to(dtype)(x.to(dtype))
        assert y.dtype == dtype
        y.sum().backward()
        assert near(y.float(), expected[0], 0.05)


@each_layer
def test_inside_autocast_a_layer_takes_any_dtype_and_keeps_its_own(make):
    layer, x = make(), torch.randn(5, 2, 3)
    expected = layer(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert near(layer(x), expected, 0.02)  # the products may be of bfloat16 numbers
        y, _ = layer(x.bfloat16())
        assert y.dtype == torch.float32
        assert torch.get_autocast_dtype("cpu") == torch.bfloat16
    assert near(y, expected[0], 0.02)


@each_layer
def test_meta_layers_give_shapes_without_values(make):
    layer = make(device="meta", num_layers=2, bidirectional=True)
    y, state = layer(torch.randn(5, 2, 3, device="meta"))
    assert y.is_meta
    assert y.shape == (5, 2, 8)
    assert torch.utils._pytree.tree_leaves(state)[0].shape == (4, 2, 4)
    assert not next(layer.to_empty(device="cpu").parameters()).is_meta


@each_layer
def test_hooks_run(make):
    layer, seen = make(), []
    layer.register_forward_pre_hook(lambda m, args: seen.append("before"))
    layer.register_forward_hook(lambda m, args, out: seen.append("after"))
    layer.register_full_backward_hook(lambda m, d_in, d_out: seen.append("backward"))
    layer.weight_hh_l0.register_hook(lambda g: seen.append("weight"))
    layer(torch.randn(5, 2, 3, requires_grad=True))[0].sum().backward()
    assert seen == ["before", "after", "weight", "backward"] or seen == ["before", "after", "backward", "weight"]


@each_twin
@pytest.mark.parametrize("wrap", [parametrizations.weight_norm, parametrizations.spectral_norm])
def test_parametrized_weights_are_evaluated_at_every_call(ours, torchs, wrap):
    torch.manual_seed(0)
    a = wrap(ours(3, 4), "weight_hh_l0")
    torch.manual_seed(0)
    b = wrap(torchs(3, 4), "weight_hh_l0")
    b.load_state_dict(a.state_dict())
    a.eval(), b.eval()
    x = torch.randn(5, 2, 3)
    ya, yb = a(x)[0], b(x)[0]
    assert near(ya, yb)
    ya.sum().backward(), yb.sum().backward()
    trained = [p for p in a.parametrizations.weight_hh_l0.parameters() if p.requires_grad]
    assert trained
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained)
    with torch.no_grad():
        trained[-1].copy_(torch.randn(trained[-1].shape))
    with parametrize.cached():
        assert not near(a(x)[0], ya)


@each_layer
def test_flatten_parameters_and_functional_call(make):
    layer, x = make(), torch.randn(5, 2, 3)
    layer.flatten_parameters()
    doubled = {name: 2 * p for name, p in layer.named_parameters()}
    other = torch.func.functional_call(layer, doubled, (x,))
    layer.load_state_dict(doubled)
    assert same(other, layer(x))


@each_layer
def test_inference_mode_and_frozen_layers(make):
    layer, x = make(), torch.randn(5, 2, 3)
    expected = layer(x)
    with torch.inference_mode():
        assert same(layer(x), expected)
    layer.requires_grad_(False)
    assert not layer(x)[0].requires_grad
    x.requires_grad_()
    layer(x)[0].sum().backward()
    assert x.grad.abs().sum() > 0
    assert all(p.grad is None for p in layer.parameters())


@each_twin
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_draws_the_mask_that_torch_draws(ours, torchs, packed):
    a, b = ours(3, 4, 3, dropout=0.5, bidirectional=True), torchs(3, 4, 3, dropout=0.5, bidirectional=True)
    b.load_state_dict(a.state_dict())
    x = torch.randn(5, 2, 3)
    x = nn.utils.rnn.pack_padded_sequence(x, torch.tensor([3, 5]), enforce_sorted=False) if packed else x
    for draw in range(2):
        torch.manual_seed(draw)
        ya, ha = a(x)
        torch.manual_seed(draw)
        yb, hb = b(x)
        assert near(ya.data, yb.data)
        assert near(ha, hb)
    assert not near(a(x)[0].data, ya.data)
    assert near(a.eval()(x)[0].data, b.eval()(x)[0].data)


@each_layer
def test_backward_works_in_eval_mode(make):
    layer = make().eval()
    layer(torch.randn(5, 2, 3))[0].sum().backward()
    assert all(p.grad is not None for p in layer.parameters())


@each_layer
def test_outputs_changed_in_place_give_the_gradients_of_a_copy(make):
    layer, x = make(num_layers=2), torch.randn(5, 2, 3, requires_grad=True)
    leaves = [x, *layer.parameters()]
    found = torch.autograd.grad(layer(x)[0].relu_().square().sum(), leaves)
    assert same(found, torch.autograd.grad(layer(x)[0].relu().square().sum(), leaves))
    with torch.no_grad():
        assert same(layer(x)[0].relu_(), layer(x)[0].relu())


class Model(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer, self.head = layer, nn.Linear(4, 2)

    def forward(self, x):
        y, _ = self.layer(x)
        return self.head(y).relu()


class Sums(Dataset):
    """Runs a layer in the worker process."""

    def __init__(self, layer):
        self.layer = layer

    def __len__(self):
        return 4

    def __getitem__(self, i):
        with torch.no_grad():
            return self.layer(torch.full((5, 3), float(i)))[0]


def test_forked_data_loader_workers_can_run_a_layer():
    layer = tidegate.GRU(3, 4)
    layer(torch.randn(5, 2, 3))[0].sum().backward()  # the threads are running before the fork
    data = Sums(layer)
    loader = DataLoader(data, batch_size=2, num_workers=2, multiprocessing_context="fork", timeout=60)
    for batch, expected in zip(loader, DataLoader(data, batch_size=2), strict=True):
        assert near(batch, expected)


def replica(rank: int, file: str, results) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{file}", rank=rank, world_size=2)
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(Model(tidegate.GRU(3, 4, 2)))
    x = torch.randn(5, 4, 3)
    model(x[:, rank * 2 : rank * 2 + 2]).sum().backward()
    results[rank] = [p.grad.tolist() for p in model.parameters()]
    torch.distributed.destroy_process_group()


def test_data_parallel_on_two_processes_averages_gradients(tmp_path):
    manager = torch.multiprocessing.get_context("spawn").Manager()
    results = manager.dict()
    torch.multiprocessing.start_processes(
        replica, args=(str(tmp_path / "meet"), results), nprocs=2, start_method="spawn"
    )
    torch.manual_seed(0)
    model = Model(tidegate.GRU(3, 4, 2))
    (model(torch.randn(5, 4, 3)).sum() / 2).backward()
    assert results[0] == results[1]
    for found, p in zip(results[0], model.parameters(), strict=True):
        assert near(torch.tensor(found), p.grad, 1e-5)


@each_layer
def test_layers_train_in_a_sequential_of_others(make):
    class Outputs(nn.Module):
        def forward(self, pair):
            return pair[0]

    torch.manual_seed(0)
    model = nn.Sequential(OrderedDict(layer=make(batch_first=True), y=Outputs(), head=nn.Linear(4, 1)))
    optimiser = torch.optim.Adam(model.parameters(), 0.05)
    x, target = torch.randn(8, 5, 3), torch.rand(8, 5, 1)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        losses.append(nn.functional.mse_loss(model(x), target))
        losses[-1].backward()
        optimiser.step()
    assert losses[-1] < 0.5 * losses[0]
