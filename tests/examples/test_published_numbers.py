"""Networks whose every number others have published: Mazur (2015), and Kinsley and Kukieła (2020), chapter 9."""

import numpy as np
import pytest

import clearprop as cl
from tests.examples.running import ran, rounded_as


@pytest.fixture(scope="module")
def mazur():
    return ran("mazur")[1]


def test_mazur_forward(mazur):
    assert [rounded_as(p, v) for p, v in zip(("0.593269992", "0.596884378"), mazur["h"], strict=True)] == [True] * 2
    assert [rounded_as(p, v) for p, v in zip(("0.75136507", "0.772928465"), mazur["o"], strict=True)] == [True] * 2
    assert mazur["errors"][0] == 0.2983711087600027


def test_mazur_gradient(mazur):
    assert rounded_as("0.082167041", mazur["gradient"]["output"][0, 0])


def test_mazur_one_step(mazur):
    w1, w3, w2, w4 = np.asarray(mazur["stepped"]["hidden"]).ravel()
    w5, w7, w6, w8 = np.asarray(mazur["stepped"]["output"]).ravel()
    assert rounded_as("0.149780716", w1)
    assert rounded_as("0.19956143", w2)
    assert rounded_as("0.24975114", w3)
    assert rounded_as("0.29950229", w4)
    assert rounded_as("0.35891648", w5)
    assert rounded_as("0.408666186", w6)
    assert rounded_as("0.511301270", w7)
    assert rounded_as("0.561370121", w8)
    # The published 0.291027924 carries the rounding of hand calculation; this is the value in float64.
    assert mazur["errors"][1] == pytest.approx(0.29102777369359933, rel=1e-15)


def test_mazur_ten_thousand_steps(mazur):
    # What he prints after 10,000 steps is the error before the last of them.
    assert f"{mazur['errors'][2]:.5e}" == "3.51085e-05"


def test_mazur_prints_his_numbers():
    lines = ran("mazur")[0].splitlines()
    assert lines[:3] == [
        "h      [0.5932699921071872, 0.596884378259767]",
        "o      [0.7513650695523157, 0.7729284653214625]",
        "E      0.2983711087600027",
    ]


def spiral(samples, classes, random):
    """The spiral data of Neural Networks from Scratch, after its own generator: float32 noise, float32 points."""
    points, labels = np.zeros((samples * classes, 2), np.float32), np.repeat(np.arange(classes), samples)
    radius = np.linspace(0.0, 1.0, samples)
    for c in range(classes):
        angle = np.linspace(c * 4, (c + 1) * 4, samples) + random.randn(samples).astype(np.float32) * 0.2
        points[labels == c] = np.c_[radius * np.sin(angle * 2.5), radius * np.cos(angle * 2.5)]
    return points, labels


@pytest.fixture(scope="module")
def chapter_9():
    random = np.random.RandomState(0)
    x, y = spiral(100, 3, random)
    first, second = (np.float32(0.01) * random.randn(n, 3).astype(np.float32) for n in (2, 3))
    return cl.nn.mlp([2, 3, 3]).replace({"layers[0].weight": first, "layers[2].weight": second}), x, y


PRINTED = {
    "layers[0].weight": [
        [1.5766357e-04, 7.8368583e-05, 4.7324400e-05],
        [1.8161038e-04, 1.1045573e-05, -3.3096312e-05],
    ],
    "layers[0].bias": [-3.60553473e-04, 9.66117223e-05, -1.03671395e-04],
    "layers[2].weight": [
        [5.44109462e-05, 1.07411419e-04, -1.61822361e-04],
        [-4.07913431e-05, -7.16780924e-05, 1.12469446e-04],
        [-5.30112993e-05, 8.58172934e-05, -3.28059905e-05],
    ],
}


def test_nnfs_chapter_9(chapter_9):
    model, x, y = chapter_9
    loss, gradient = cl.value_and_grad(lambda m: cl.nn.cross_entropy(m(x), y))(model)
    assert f"{loss.item():.7f}" == "1.0986104"
    assert np.mean(np.argmax(np.asarray(model(x)), axis=1) == y) == 0.34
    # 300 float32 terms of about 1/300 with alternating signs: one part in 10⁷ of their absolute sum is 1e-9.
    for path, printed in PRINTED.items():
        np.testing.assert_allclose(np.asarray(gradient.parameters()[path]), printed, rtol=0, atol=1e-9)
