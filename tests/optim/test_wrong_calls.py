"""Every public function and class of `cl.nn` and `cl.optim`, called with every wrong thing: no bare error comes out."""

import inspect
import warnings

import numpy as np
import pytest

import clearprop as cl
from clearprop import nn, optim
from clearprop.errors import ArgumentError, ClearpropError
from tests.tiers import together

KEY, X, P = cl.random.key(0), np.ones((2, 3), np.float32), {"w": np.ones((3, 2))}
MODEL = nn.Sequential(nn.Dense(3, 4), nn.BatchNorm(4))
WRONG = [
    None, True, 0, 1.5, -1, 10**30, float("nan"), float("inf"), 1 + 2j, "text", b"bytes", [], {}, (), ("a", 2),
    [1, "b"], object(), int, lambda *given, **named: 0, np.array(["a"]), np.array([1 + 2j]), np.zeros((2, 0)),
    np.array(object(), object), cl.tensor(2),
]  # fmt: skip
NUMBERS = ([[1.0, 2.0]], [[0.5, 0.0]])

SEQUENCE, IMAGE, WORDS = np.ones((2, 5, 4), np.float32), np.ones((2, 8, 8, 4), np.float32), np.array([[0, 1, 2]])
INPUTS = {
    "nn.NormalInterval": np.ones((2, 2), np.float32),
    **{f"nn.{name}": WORDS for name in ("Embedding", "EmbeddingBag", "transformer", "lstm_classifier")},
    **{f"nn.{name}": SEQUENCE for name in ("Conv1d", "ConvTranspose1d", "MultiHeadAttention", "TransformerBlock", "RNN",
                                           "LSTM", "GRU", "LearnedPositions", "SinusoidalPositions")},
    **{f"nn.{name}": IMAGE for name in ("Conv2d", "ConvTranspose2d", "MaxPool", "AvgPool", "GlobalPool", "AdaptivePool",
                                        "Upsample", "GroupNorm", "InstanceNorm", "Dropout2d", "resnet", "GLU",
                                        "RandomFlip",
                                        "RandomCrop", "RandomShift")},
    "nn.Conv3d": np.ones((2, 4, 4, 4, 4), np.float32), "nn.ConvTranspose3d": np.ones((2, 4, 4, 4, 4), np.float32),
    "nn.lenet": np.ones((1, 28, 28, 4), np.float32), "nn.convnet": np.ones((1, 28, 28, 4), np.float32),
}  # fmt: skip
"""What modules of other inputs than rows of three numbers take."""

RIGHT = {
    "nn.Activation": ("relu",), "nn.Function": (cl.tanh,), "nn.suited_to": ("relu",), "nn.apply": (MODEL, X),
    "nn.is_training": (), "nn.parameter": (), "nn.state": (), "nn.static": (), "nn.Dense": (3, 2), "nn.Dropout": (0.1,),
    "nn.Sequential": (nn.Dense(3, 2), "relu"),
    "nn.PiecewiseLinear": (3, {0: [0.0, 1.0]}), "nn.quantile_edges": (X, 2),
    "nn.BatchNorm": (3,), "nn.LayerNorm": (3,), "nn.mlp": ([3, 4, 2],),
    "nn.mse": NUMBERS, "nn.mae": NUMBERS, "nn.huber": NUMBERS, "nn.cross_entropy": ([[1.0, 2.0]], [1]),
    "nn.pinball": NUMBERS, "nn.log_cosh": NUMBERS, "nn.poisson": NUMBERS, "nn.tweedie": NUMBERS,
    "nn.focal": ([[1.0, 2.0]], [1]),
    "nn.binary_cross_entropy": ([[1.0, 2.0]], [[1.0, 0.0]]), "nn.loss_named": ("mse",), "nn.least_rows": (MODEL,),
    "nn.parameter_count": (MODEL,), "nn.summary": (MODEL,),
    **{f"nn.{name}": (KEY, (3, 2)) for name in nn.INITIALISERS},
    "nn.Embedding": (4, 3), "nn.EmbeddingBag": (4, 3), "nn.LearnedPositions": (8, 4), "nn.SinusoidalPositions": (4,),
    "nn.Increasing": (3,), "nn.NormalInterval": (0.8,),
    "nn.MultiHeadAttention": (4, 2), "nn.TransformerBlock": (4, 2), "nn.causal_mask": (3,), "nn.rotary": (SEQUENCE,),
    "nn.length_mask": ([1, 2], 3), "nn.GroupNorm": (2, 4), "nn.InstanceNorm": (4,), "nn.RMSNorm": (3,),
    "nn.WeightNorm": (nn.Dense(3, 2),), "nn.Residual": ("relu",), "nn.Parallel": ("relu",), "nn.Masked": ("relu",),
    "nn.Ensemble": (["relu", "tanh"],),
    "nn.SwiGLU": (3, 4), "nn.GLU": (), "nn.Dropout2d": (0.1,), "nn.RandomCrop": (2,),
    "nn.Augment": (lambda key, x: x,),
    **{f"nn.{name}": (4, 2) for name in ("RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell")},
    **{f"nn.Conv{turn}{n}d": (4, 2, 2) for n in (1, 2, 3) for turn in ("", "Transpose")},
    **{f"nn.{name}": (2,) for name in ("MaxPool", "AvgPool", "AdaptivePool", "Upsample")},
    "nn.lenet": (4, 2), "nn.resnet": (4, 2), "nn.transformer": (4,), "nn.lstm_classifier": (4, 2),
    "nn.convnet": (4, 2), "nn.autoencoder": ([3, 2],), "nn.Unflatten": ((3, 1),),
    "nn.nll": ([[-0.1, -2.0]], [1]), "nn.hinge": ([0.5, -2.0], [1, 0]), "nn.multi_margin": ([[1.0, 2.0]], [1]),
    "nn.kl_divergence": ([[-0.7, -0.7]], [[0.4, 0.6]]), "nn.gaussian_nll": (*NUMBERS, [[1.0, 2.0]]),
    "nn.cosine_distance": NUMBERS, "nn.contrastive": (*NUMBERS, [1]), "nn.triplet": (*NUMBERS, [[0.0, 1.0]]),
    "optim.apply_updates": (P, P), "optim.by_name": ("adam",), "optim.from_config": ({"name": "adam"},),
    "optim.optimizers": (), "optim.minimize": (lambda x: (x - 1.0) ** 2, 0.5),
    "optim.least_squares": (lambda x: cl.stack([x - 1.0, 2 * x]), 0.5),
    "optim.memetic": (lambda x: (x - 1.0) ** 2, 0.5), "optim.chain": (optim.adam(),),
    "optim.relay": ((optim.adam(), 2),),
    "optim.groups": (optim.adam(), ("*", optim.sgd())), "optim.masked": (optim.sgd(), "all"),
    "optim.vary_by_group": (optim.sgd(), {"*": {"lr": 0.5}}),
    "optim.switch": (optim.adam(), optim.sgd(), 3), "optim.scale": (0.5,), "optim.freeze": ("all",),
}  # fmt: skip
"""A right call of each; what is not here is a class of hyper-parameters, all of which have defaults."""
INSIDE = {
    "nn.next_key": "needs a pass that runs", "nn.remember": "needs a pass that runs", "nn.Module": "a base",
    "nn.Penalty": "a record",
    "optim.Transform": "a base", "optim.Schedule": "a base", "optim.Method": "a base", "optim.Result": "is returned",
    "optim.Progress": "is returned", "optim.Evaluations": "is returned", "optim.Estimate": "is returned",
}  # fmt: skip
PUBLIC = {
    f"{module.__name__.rpartition('.')[2]}.{name}": value
    for module in (nn, optim)
    for name in dir(module)  # those that are loaded late, too
    if not name.startswith("_") and callable(value := getattr(module, name))
}
CALLED = sorted(set(PUBLIC) - set(INSIDE))
FUNCTIONS = {"activation", "f", "function", "init", "layers", "mask", "model", "residuals", "watch"}
"""Arguments for which a function of the caller's own is no wrong value, though it may do anything."""
FEW = {"optim.minimize": {"steps": 3}, "optim.least_squares": {"steps": 3}, "optim.memetic": {"rounds": 2, "steps": 3}}


def used(name, value):
    """What the caller does next with it: a rule updates, a schedule gives rates, a module computes."""
    if isinstance(value, optim.Schedule):
        value(3)
    elif isinstance(value, optim.Transform):
        needs = {"value": 1.0, "f": lambda p: cl.sum(p["w"] ** 2), "hvp": lambda v: v, "rng": KEY}
        value.update(P, value.init(P), P, **{n: needs[n] for n in value.needs})
    elif isinstance(value, nn.Module) and name != "nn.Function":
        inputs = SEQUENCE[:, 0] if name.endswith("Cell") else INPUTS.get(name, X)
        nn.apply(value, inputs, rng=KEY)


def refuses(name, *args, **kwargs):
    """Whether a call ends in one of our errors; any other error fails."""
    options = {k: v for k, v in FEW.get(name, {}).items() if k not in kwargs}
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            used(name, PUBLIC[name](*args, **options, **kwargs))
    except ClearpropError as error:
        assert error.headline and error.expected
        return True
    except Exception as error:
        said = f"{name}{args!r:.300} {kwargs!r:.300} ended in {type(error).__name__}: {error}"
        raise AssertionError(said) from error
    return False


def parameters(name):
    return list(inspect.signature(PUBLIC[name]).parameters.values())


@together("name", CALLED)
def test_the_right_call_is_right(name):
    assert not refuses(name, *RIGHT.get(name, ()))


@pytest.mark.parametrize("name", CALLED)
def test_wrong_values_are_refused_or_used_and_never_end_in_a_bare_error(name):
    right, known = RIGHT.get(name, ()), parameters(name)
    for i in range(len(right)):
        for wrong in wrong_for(known[min(i, len(known) - 1)].name):
            refuses(name, *right[:i], wrong, *right[i + 1 :])
    for q in known[len(right) :]:
        if q.kind not in (q.VAR_POSITIONAL, q.VAR_KEYWORD):
            for wrong in wrong_for(q.name):
                refuses(name, *right, **{q.name: wrong})


def wrong_for(parameter):
    return [w for w in WRONG if parameter not in FUNCTIONS or not callable(w)]


@together("name", CALLED)
def test_arguments_that_are_not_known_too_many_and_missing(name):
    right, known = RIGHT.get(name, ()), parameters(name)
    if not any(q.kind is q.VAR_KEYWORD for q in known):
        assert refuses(name, *right, no_such_argument=1)
    if not any(q.kind is q.VAR_POSITIONAL for q in known):
        assert refuses(name, *right, *([1] * 20))
        assert not right or known[0].default is not inspect.Parameter.empty or refuses(name)


def test_every_public_name_is_called():
    assert set(RIGHT) | set(INSIDE) <= set(PUBLIC)
    tried = sum(len(WRONG) * max(len(RIGHT.get(n, ())), len(parameters(n))) + 3 for n in CALLED)
    print(f"{len(CALLED)} public names, about {tried:,} wrong calls")
    assert tried > 5000


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: nn.Activation("swish"), "silu"),
        (lambda: nn.loss_named("bce"), "binary_cross_entropy"),
        (lambda: nn.loss_named("MSELoss"), "mse"),
        (lambda: nn.Dense(2, 3, init="xavier"), "glorot"),
        (lambda: nn.mlp([2, 3, 1], norm="BatchNorm"), "batch"),
        (lambda: optim.by_name("amsgrad"), "adam"),
        (lambda: optim.adam(lr=0.1), "learning_rate"),
        (lambda: optim.by_name("sgd", lr=0.1), "learning_rate"),
    ],
)
def test_the_nearest_name_is_nearest_in_meaning(call, name):
    with pytest.raises(ArgumentError) as caught:
        call()
    assert caught.value.try_ == f"{name!r}, the nearest name"


STATES = [None, {}, (), [], 3, "text", {"t": cl.tensor(0)}, ({},), optim.adam().init(P), optim.sgd(0.1, 0.9).init(P)]


@pytest.mark.parametrize(
    "name", ["adam", "sgd", "lookahead", "sam", "hypergradient", "polyak", "schedule_free", "swats"]
)
def test_a_step_with_another_state_or_without_its_arguments(name):
    opt = optim.by_name(name)
    extra = {"value": 1.0, "f": lambda p: cl.sum(p["w"] ** 2)}
    for state in STATES:
        with np.errstate(all="ignore"):
            try:
                opt.update(P, state, P, **extra)
            except ClearpropError as error:
                assert error.expected
    for wrong in [(), (P,), (P, opt.init(P)), (P, opt.init(P), P, 4)]:
        with pytest.raises(ArgumentError, match="update does not take these arguments"):
            opt.update(*wrong)
    with pytest.raises(ArgumentError, match="init does not take these arguments"):
        opt.init()
    with pytest.raises(ArgumentError, match="this is no state of adam"):
        optim.adam().update(P, None, P)
