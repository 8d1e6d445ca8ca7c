"""Updates open into parts that add up to what the run applied, whatever the optimizer is chained of."""

import numpy as np
import pytest

import clearprop as cl
from clearprop.errors import ArgumentError

o = cl.optim
OPTIMIZERS = {
    "sgd": (o.sgd(0.1), ["gradient now"]),
    "momentum": (o.sgd(0.1, momentum=0.9), ["gradient now", "momentum history"]),
    "nesterov": (
        o.sgd(0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
        ["gradient now", "weight decay", "momentum history"],
    ),
    "adam": (o.adam(0.01), ["gradient now", "adaptive scaling", "momentum history"]),
    "everything": (
        o.chain(o.clip_by_norm(0.1), o.adamw(o.cosine(0.01, steps=50), weight_decay=0.1)),
        ["gradient now", "clipping", "adaptive scaling", "momentum history", "weight decay", "schedule"],
    ),
    "rmsprop": (o.rmsprop(0.01, momentum=0.5), ["gradient now", "adaptive scaling", "momentum history"]),
    "warmup": (o.adam(o.warmup(20, 0.01)), ["gradient now", "adaptive scaling", "momentum history", "schedule"]),
    "lion": (o.lion(0.001), ["gradient now", "adaptive scaling"]),
    "dampened": (o.sgd(0.1, momentum=0.9, dampening=0.5), ["gradient now", "momentum history"]),
    "muon": (o.muon(0.01), ["gradient now", "adaptive scaling", "momentum history", "weight decay"]),
    "adafactor": (
        o.adafactor(0.5, weight_decay=0.1),
        ["gradient now", *2 * ["adaptive scaling"], "schedule", "weight decay"],
    ),
}
_GROUPS = o.groups(o.adamw(0.02), ("layers[0].*", o.adamw(0.01, weight_decay=0.1)))
OPTIMIZERS["groups"] = (_GROUPS, ["gradient now", "adaptive scaling", "momentum history", "weight decay"])
ROWS = 96


def _run(optimizer, **options):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((ROWS, 4)).astype(np.float32)
    y = (x[:, 0] * x[:, 1] > 0).astype(int)
    return cl.fit(cl.nn.mlp([4, 8, 2], activation="tanh"), (x, y), epochs=3, optimizer=optimizer, **options)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_parts_add_up_to_what_was_applied(name):
    optimizer, titles = OPTIMIZERS[name]
    run = _run(optimizer, l2=0.001)
    before, after = run.replay(6).model.parameters(), run.replay(7).model.parameters()
    for index in ((0, 0), (1, 2), (3, 7)):
        update = cl.explain_update(run, "layers[0].weight", index, 7)
        applied = float(after["layers[0].weight"].numpy()[index]) - float(before["layers[0].weight"].numpy()[index])
        assert update.applied == applied
        assert update.total == pytest.approx(sum(p.value for p in update.parts), rel=1e-12)
        assert update.total == pytest.approx(applied, rel=1e-3, abs=3e-7)
        assert update.rounding == update.applied - update.total
        assert [p.name for p in update.parts] == titles
        gradient = cl.explain(run, "layers[0].weight", index=index, step=7).value
        rate = next(r for r in (getattr(optimizer, "learning_rate", 0.01), 0.01) if isinstance(r, float))
        assert update.parts[0].value == pytest.approx(-rate * gradient, rel=1e-5)


def test_predicted_and_actual_change_of_the_loss():
    run = _run(o.sgd(1e-3))
    update = cl.explain_update(run, "layers[0].weight", (0, 0), 2)
    assert update.predicted < 0
    assert update.actual == pytest.approx(update.predicted, rel=0.05)
    gradients = cl.explain(run, "model", step=2)
    squares = sum(float(np.sum(np.square(gradients[name].gradient, dtype=float))) for name in gradients)
    assert update.predicted == pytest.approx(-1e-3 * squares, rel=1e-4)


def test_a_learning_rate_that_is_too_high_is_seen():
    """On a parabola the best step is known: 1/curvature; three times that is three times too long."""
    x = np.array([[1.0], [2.0], [3.0]])
    curvature = 2 * float(np.mean(x**2))
    model = cl.nn.Dense(1, 1, bias=False, dtype=np.float64)
    run = cl.fit(model, (x, 2 * x), loss="mse", optimizer=o.sgd(3 / curvature), epochs=2, batch_size=3)
    update = cl.explain_update(run, "weight", (0, 0), 1)
    assert update.best_scale == pytest.approx(1 / 3, rel=1e-6)
    assert str(update).splitlines()[-1] == "      the step is too long by about ×3"


def test_it_prints_as_a_column_that_adds_up():
    run = _run(o.sgd(0.1, momentum=0.9))
    lines = str(cl.explain_update(run, "layers[0].bias", 3, 2)).splitlines()
    assert lines[0].startswith("step 2: layers[0].bias[3] = ")
    assert lines[0].endswith(", learning rate 0.1")
    assert [line.split("  ")[2].strip() for line in lines[1:5]] == [
        "gradient now",
        "momentum history",
        "sum",
        "rounding",
    ]
    assert lines[5].startswith("loss: predicted −")
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize(
    ("param", "index", "step", "headline"),
    [
        ("layers[0].wieght", (0, 0), 1, "no parameter named 'layers[0].wieght'"),
        ("layers[0].weight", (9, 0), 1, "layers[0].weight has no entry [9, 0]"),
        ("layers[0].weight", (0, 0), 0, "the run has no such step"),
        ("layers[0].weight", (0, 0), 99, "the run has no such step"),
    ],
)
def test_what_does_not_exist_is_refused(param, index, step, headline):
    run = _run(o.sgd(0.1))
    with pytest.raises(ArgumentError) as caught:
        cl.explain_update(run, param, index, step)
    assert caught.value.headline == headline


def test_the_command_opens_an_update(tmp_path, capsys):
    from clearprop.cli import main

    folder = tmp_path / "run"
    assert main(["train", "iris", "--epochs", "2", "--hidden", "6", "--out", str(folder)]) == 0
    capsys.readouterr()
    assert main(["explain", str(folder), "--param", "layers[0].weight[2,3]", "--step", "3", "--update"]) == 0
    assert capsys.readouterr().out.startswith("step 3: layers[0].weight[2,3] = ")
    assert main(["explain", str(folder), "--param", "layers[0].weight", "--step", "3", "--update"]) == 2
    assert capsys.readouterr().err.startswith("an update is that of one weight in one step\n")
    assert main(["explain", str(folder), "--param", "layers[0].weight[99,0]", "--step", "3", "--update"]) == 2
    assert "  where     --param layers[0].weight[99,0]" in capsys.readouterr().err.splitlines()
