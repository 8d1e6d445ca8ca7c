"""Modules as trees: fields, paths, replacement, state, printing, the user's own."""

import copy
import dataclasses
import functools
import gc
import pickle

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn
from clearprop.errors import ArgumentError
from clearprop.nn import module as modules
from clearprop.nn.context import is_training


class Bilinear(nn.Module):
    """y = scale · (x @ weight)."""

    weight: cl.Tensor = nn.parameter()
    scale: float = nn.static(default=1.0)

    def forward(self, x):
        return self.scale * (x @ self.weight)


class Residual(nn.Module):
    """y = x + body(x): a module of modules needs no declaration."""

    body: nn.Module

    def forward(self, x):
        return x + self.body(x)


class RunningMax(nn.Module):
    """y = x/top, with top the largest value seen in training."""

    top: cl.Tensor = nn.state()
    gain: cl.Tensor = nn.parameter()

    def __init__(self):
        super().__init__(top=np.float32(1.0), gain=np.float32(1.0))

    def forward(self, x):
        if is_training():
            nn.remember(self, top=cl.maximum(self.top, cl.max(x)))
        return self.gain * x / self.top


def test_a_module_of_the_users_own_trains():
    model = Residual(Bilinear(weight=cl.tensor([[0.5, 0.0], [0.0, -0.5]]), scale=2.0))
    x, y = cl.tensor([[1.0, 2.0], [3.0, -1.0]]), cl.tensor([[0.0, 1.0], [1.0, 0.0]])
    value, grads = cl.value_and_grad(lambda m: nn.mse(m(x), y))(model)
    error = 2 * (np.asarray(model(x)) - np.asarray(y)) / 4
    np.testing.assert_allclose(np.asarray(grads.body.weight), 2.0 * np.asarray(x).T @ error)
    assert type(grads) is Residual and grads.body.scale == 2.0
    better = cl.optim.apply_updates(model, cl.tree_map(lambda g: -0.05 * g, grads))
    assert float(nn.mse(better(x), y)) < float(value)


def test_modules_are_frozen_dataclasses():
    layer = nn.Dense(2, 3)
    assert dataclasses.is_dataclass(layer) and [f.name for f in dataclasses.fields(layer)] == ["weight", "bias"]
    with pytest.raises(cl.ClearpropError):
        layer.weight = 3


def test_gradients_have_the_models_structure():
    model = nn.mlp([2, 4, 3], "tanh", norm="layer")
    grads = cl.grad(lambda m: cl.sum(m(cl.ones((5, 2), np.float32))))(model)
    assert list(grads.parameters()) == list(model.parameters())
    assert all(
        g.shape == p.shape for g, p in zip(grads.parameters().values(), model.parameters().values(), strict=True)
    )
    assert grads.layers[2].name == "tanh"


def test_paths():
    model = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm(3), Residual(nn.Dense(3, 3)))
    assert list(model.parameters()) == [
        "layers[0].weight", "layers[0].bias", "layers[1].scale", "layers[1].offset", "layers[2].body.weight",
        "layers[2].body.bias",
    ]  # fmt: skip
    assert list(model.state()) == ["layers[1].mean", "layers[1].variance"]
    assert set(model.arrays()) == {*model.parameters(), *model.state()}


def test_parameters_may_stand_in_containers():
    class Table(nn.Module):
        rows: dict = nn.parameter()

        def forward(self, x):
            return x * self.rows["a"] + self.rows["b"][0]

    table = Table(rows={"a": 2.0, "b": [np.float64(1.0)]})
    assert list(table.parameters()) == ["rows['a']", "rows['b'][0]"]
    assert float(table(3.0)) == 7.0


def test_replace_and_round_trip():
    model, other = nn.mlp([3, 4, 2], norm="batch", seed=0), nn.mlp([3, 4, 2], norm="batch", seed=1)
    copied = other.replace({p: np.asarray(v) for p, v in model.arrays().items()})
    x = cl.ones((2, 3), np.float32)
    assert np.array_equal(np.asarray(copied(x)), np.asarray(model(x)))
    assert not np.array_equal(np.asarray(other(x)), np.asarray(model(x)))
    assert model.replace({"layers[3].bias": np.ones(2)}).layers[3].bias.dtype == np.float32


def test_replaced_arrays_are_copies():
    values = np.ones(3, np.float32)
    layer = nn.Dense(2, 3).replace({"bias": values})
    values[:] = 7
    assert np.asarray(layer.bias).tolist() == [1, 1, 1]


# ------------------------------------------------------------------------------------------------ state
def test_state_of_the_users_own():
    model = nn.Sequential(RunningMax(), RunningMax())
    x = cl.tensor([1.0, 4.0])
    y, after = nn.apply(model, x, train=True)
    assert float(after.layers[0].top) == 4.0 and float(after.layers[1].top) == 4.0
    assert y.tolist() == [1.0, 4.0] and after(x).tolist() == [0.0625, 0.25]
    _, unchanged = nn.apply(model, x, train=False)
    assert unchanged is model and not is_training()


def test_state_has_gradient_zero_and_no_optimizer():
    model, x = nn.Sequential(nn.Dense(2, 3), nn.BatchNorm(3)), cl.ones((4, 2), np.float32)
    grads = cl.grad(lambda m: cl.sum(m(x) ** 2))(model)  # inference uses the statistics
    assert not np.any(np.asarray(grads.layers[1].mean)) and not np.any(np.asarray(grads.layers[1].variance))
    assert np.any(np.asarray(grads.layers[1].scale))
    opt = cl.optim.adamw(0.1, weight_decay=1.0, mask="all")
    updates, _ = opt.update(grads, opt.init(model), model)
    assert updates.layers[1].mean is None and updates.layers[1].scale is not None


def test_new_state_carries_no_history():
    def loss(model, x):
        out, after = nn.apply(model, x)
        return cl.sum(after.mean * 3.0) + 0.0 * cl.sum(out)

    grads = cl.grad(loss, argnums=(0, 1))(nn.BatchNorm(2), np.array([[1.0, 2.0], [3.0, 5.0]]))
    assert not np.any(np.asarray(grads[1]))


def test_state_comes_out_of_transforms_as_an_auxiliary_value():
    model, x = nn.BatchNorm(2, dtype=np.float64), np.array([[1.0, 2.0], [3.0, 5.0]])

    def loss(m):
        out, after = nn.apply(m, x)
        return cl.sum(out**2), after

    (_, after), _ = cl.value_and_grad(loss, has_aux=True)(model)
    np.testing.assert_allclose(np.asarray(after.mean), 0.1 * x.mean(axis=0))
    assert not after.mean.requires_grad and after.mean.application is None


def test_the_mode_is_restored_after_an_error():
    class Broken(nn.Module):
        def forward(self, x):
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError):
        nn.apply(Broken(), 1.0)
    assert not is_training()


def test_subclasses_keep_the_constructor():
    class Loud(nn.Dense):
        volume: float = nn.static(default=2.0)

        def forward(self, x):
            return self.volume * super().forward(x)

    layer = Loud(2, 3)
    x = cl.ones(2, np.float32)
    assert layer(x).tolist() == (2 * nn.Dense.forward(layer, x)).tolist()


# --------------------------------------------------------------------------------------------- printing
def test_models_print_a_line_per_layer():
    model = nn.Sequential(nn.Dense(4, 16), nn.BatchNorm(16), cl.tanh, nn.Dropout(0.1), Residual(nn.Dense(16, 16)))
    assert repr(model) == (
        "Sequential(\n"
        "  layers[0]       Dense(4 → 16)      weight (4, 16), bias (16,)                                    80\n"
        "  layers[1]       BatchNorm(16)      scale (16,), offset (16,); state mean (16,), variance (16,)   32\n"
        "  layers[2]       tanh\n"
        "  layers[3]       Dropout(rate=0.1)\n"
        "  layers[4].body  Dense(16 → 16)     weight (16, 16), bias (16,)                                  272\n"
        "  384 parameters, float32\n"
        ")"
    )


def test_single_layers_and_gradients_print():
    assert repr(nn.Dense(4, 16)) == "Dense(4 → 16)  weight (4, 16), bias (16,)  80 parameters"
    assert repr(nn.Activation("leaky_relu", slope=0.1)) == "leaky_relu(slope=0.1)"
    assert repr(nn.Dropout(0.1)) == "Dropout(rate=0.1)"
    assert repr(Bilinear(weight=np.ones((2, 2)))) == "Bilinear(scale=1.0)  weight (2, 2)  4 parameters"
    norm, opt = nn.BatchNorm(2), cl.optim.sgd(0.1)
    updates, _ = opt.update(norm, opt.init(norm), norm)
    assert repr(updates) == "BatchNorm(2)  scale (2,), offset (2,)  4 parameters"


class Towers(nn.Module):
    first: nn.Module
    others: dict[str, nn.Module]

    def forward(self, x):
        return self.first(x) + self.others["b"](x)


class Tied(nn.Module):
    into: cl.Tensor = nn.parameter()
    out: cl.Tensor = nn.parameter()


class Begins(nn.Module):
    by: cl.Tensor = nn.parameter(default=cl.tensor(1.0))


def test_arrays_in_two_places_are_refused_wherever_they_stand():
    """After the first update they would be two, where the same network elsewhere has one."""
    layer, w = nn.Dense(2, 2), cl.ones((2, 2))
    inner = nn.Sequential(layer, "relu")
    for make, places in (
        (lambda: Towers(first=layer, others={"b": layer}), "first is others['b']"),
        (lambda: Towers(first=inner, others={"b": nn.Sequential(nn.Dense(2, 2), layer)}), "others['b'].layers[1]"),
        (lambda: nn.Residual(inner, layer), "layer.layers[0] is shortcut"),
        (lambda: Tied(w, w), "into is out"),
        (lambda: Towers(first=Tied(w, 0.0), others={"b": Tied(0.0, w)}), "first.into is others['b'].out"),
    ):
        with pytest.raises(ArgumentError, match=r"used twice|two places") as error:
            make()
        assert places in error.value.got
    assert Tied(w, cl.tensor(w)).out is not w and Tied(np.ones(2), np.ones(2)).parameters()
    Towers(first=Begins(), others={"b": Begins()})  # a default is that of every object of the class
    Towers(first=nn.Sequential("relu"), others={"b": nn.Sequential("relu")})


def tied_values(w, x):
    """w²·x by two fields that hold w."""
    tied = Tied(w, w)
    return cl.sum(tied.into * tied.out * x)


def tied_layers(w, x):
    """w²·x by a layer that stands in two places."""
    layer = Begins(by=w)
    tied = Towers(first=layer, others={"b": layer})
    return cl.sum(tied.first.by * tied.others["b"].by * x)


SQUARE = {  # of what f(w, x) = w²·x, at w = 2 and x = 3, each is
    "grad": (lambda f: cl.grad(f)(2.0, 3.0), 12.0),
    "jvp": (lambda f: cl.jvp(lambda w: f(w, 3.0), (2.0,), (1.0,))[1], 12.0),
    "vjp": (lambda f: cl.vjp(lambda w: f(w, 3.0), 2.0)[1](1.0)[0], 12.0),
    "linearize": (lambda f: cl.linearize(lambda w: f(w, 3.0), 2.0)[1](1.0), 12.0),
    "hessian": (lambda f: cl.hessian(lambda w: f(w, 3.0))(2.0), 6.0),
    "compile": (lambda f: cl.compile(f)(2.0, 3.0), 12.0),
    "grad of compile": (lambda f: cl.grad(cl.compile(f))(2.0, 3.0), 12.0),
    "compile of grad": (lambda f: cl.compile(cl.grad(f))(2.0, 3.0), 12.0),
    "vmap": (lambda f: cl.sum(cl.vmap(lambda w: f(w, 3.0))(cl.tensor([1.0, 2.0]))), 15.0),
    "remat": (lambda f: cl.grad(cl.remat(f))(2.0, 3.0), 12.0),
    "scan": (lambda f: cl.scan(lambda c, w: (c + f(w, 3.0), c), 0.0, cl.tensor([1.0, 2.0]))[0], 15.0),
    "numbers that are held": (lambda f: cl.grad(lambda x: f(cl.tensor(2.0), x))(3.0), 4.0),
}


@pytest.mark.parametrize("name", SQUARE)
@pytest.mark.parametrize("f", [tied_values, tied_layers])
def test_networks_made_of_what_is_differentiated_or_traced_may_hold_it_twice(f, name):
    result, expected = SQUARE[name]
    assert float(result(f)) == expected
    with pytest.raises(ArgumentError, match=r"used twice|two places"):  # as before, once that is over
        f(cl.tensor(2.0), 3.0)


def test_networks_made_of_computed_values_may_hold_them_twice():
    w = cl.tensor(2.0, requires_grad=True)
    (tied_values(w * 1.0, 3.0) + tied_layers(w * 1.0, 3.0)).backward()
    assert float(w.grad) == 24.0
    with pytest.raises(ArgumentError, match="two places"):  # the leaf itself is what a training would part
        tied_values(w, 3.0)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m)), cl.tree_map])
def test_arrays_in_two_places_are_refused_of_copies(copied):
    inner = nn.Sequential(nn.Dense(2, 2), "relu")
    inner = cl.tree_map(lambda a: a * 1.0, inner) if copied is cl.tree_map else copied(inner)
    with pytest.raises(ArgumentError, match="used twice") as error:
        nn.Residual(nn.Sequential(inner, "relu"), inner.layers[0])
    assert error.value.got == "layer.layers[0].layers[0] is shortcut"


class Listed(nn.Module):
    """Layers in a list, which the user can change."""

    layers: list[nn.Module]


def test_a_list_that_is_changed_refuses_nothing_that_stands_once():
    """What was found of it is of layers that are gone, whose places in memory others have."""
    listed = Listed(layers=[nn.Dense(1, 1, rng=k) for k in range(20)])
    listed.layers[:] = []
    others = [nn.Dense(1, 1, rng=k) for k in range(20)]
    assert len(nn.Sequential(listed, *others).arrays()) == 40


def test_a_network_is_searched_once_however_deep_it_is(monkeypatch):
    seen = []
    direct = modules._direct_parts
    monkeypatch.setattr(modules, "_direct_parts", lambda value: seen.append(value) or direct(value))
    gc.collect()
    before, model = len(modules._STANDING), nn.Dense(2, 2)
    for _ in range(100):
        model = nn.Sequential(model)
    assert len(seen) == 102  # weight, bias, and one tuple of layers a level
    assert len(modules._STANDING) == before + 101
    del model, seen[:]
    gc.collect()
    assert len(modules._STANDING) == before


def test_a_layer_that_is_called_twice_goes_on_from_its_own_state():
    """PyTorch's BatchNorm1d(2) called with the same two batches, momentum 0.1: one after the other."""

    class Twice(nn.Module):
        norm: nn.Module

        def forward(self, x):
            return self.norm(self.norm(x) * 3.0 + 1.0)

    x = cl.tensor([[1.0, 2.0], [3.0, 6.0]])
    _, after = nn.apply(Twice(norm=nn.BatchNorm(2, dtype=float)), x, train=True)
    np.testing.assert_allclose(after.norm.mean, [0.9 * 0.2 + 0.1, 0.9 * 0.4 + 0.1], rtol=1e-4)
    unbiased = 2 * 9 * np.array([1 / (1 + 1e-5), 4 / (4 + 1e-5)])
    np.testing.assert_allclose(
        after.norm.variance, 0.9 * (0.9 + 0.1 * np.array([2.0, 8.0])) + 0.1 * unbiased, rtol=1e-9
    )


class Counter(nn.Module):
    """y = x + n, and n grows by one."""

    n: cl.Tensor = nn.state()

    def forward(self, x):
        nn.remember(self, n=self.n + 1.0)
        return x + self.n


class Stacked(nn.Module):
    """Layers as one module whose arrays have an axis more: `forward` makes each on the way."""

    layers: Counter

    def forward(self, x):
        for k in range(4):
            x = cl.tree_map(lambda a, k=k: a[k], self.layers)(x)
        return x


def by_hand(model, x):
    return nn.apply(model, x)[0]


@pytest.mark.parametrize(
    "call",
    [
        by_hand,
        cl.compile(by_hand),
        lambda model, x: cl.value_and_grad(lambda x: by_hand(model, x))(x)[0],
        lambda model, x: nn.apply(lambda x: model(x), x)[0],
    ],
    ids=["apply", "compile", "grad", "function"],
)
def test_layers_that_forward_makes_have_their_own_state(call):
    """Each is gone when the next is made, which may get its place in memory: 100 = 10 + 20 + 30 + 40."""
    model = Stacked(layers=Counter(n=cl.tensor([10.0, 20.0, 30.0, 40.0])))
    assert float(call(model, cl.tensor(0.0))) == float(model(cl.tensor(0.0))) == 100.0
    assert nn.apply(model, cl.tensor(0.0))[1].layers.n.tolist() == [10.0, 20.0, 30.0, 40.0]


class Twice(nn.Module):
    """Makes the network of which one layer stands in two places while it is used."""

    inner: nn.Dense

    def forward(self, x):
        return nn.Sequential(self.inner, "tanh", self.inner)(x)


def test_a_forward_may_make_a_network_that_uses_a_layer_twice():
    model, x = Twice(inner=nn.Dense(3, 3, dtype=np.float64)), np.ones((2, 3))
    w, b = (np.asarray(p) for p in model.parameters().values())
    np.testing.assert_allclose(model(x), np.tanh(x @ w + b) @ w + b, rtol=1e-12)
    np.testing.assert_allclose(cl.compile(lambda m, x: m(x))(model, x), model(x), rtol=1e-12)
    cl.check_grads(lambda m: cl.sum(cl.square(m(x))), (model,), order=1)
    assert cl.fit(model, (x, x), epochs=2, batch_size=2, progress=False).predict(x).shape == (2, 3)


class Kept(nn.Module):
    """A layer that computes something of its parameter once."""

    weight: cl.Tensor = nn.parameter()

    @functools.cached_property
    def doubled(self):
        return {"weight": self.weight * 2.0, "size": 3}

    def forward(self, x):
        return x @ self.doubled["weight"]


PROGRAMS = [lambda f, x: cl.compile(f)(x), lambda f, x: cl.vmap(f)(x), lambda f, x: cl.map(f, x)]


@pytest.mark.parametrize("first", PROGRAMS)
def test_a_cached_property_keeps_nothing_of_a_program(first):
    model, x = Kept(weight=np.arange(6.0).reshape(3, 2)), np.ones((4, 3))
    want = x @ (2.0 * np.arange(6.0).reshape(3, 2))
    for compute in (first, lambda f, x: f(x), first):
        np.testing.assert_allclose(compute(model, x), want)
    assert "doubled" in model.__dict__
