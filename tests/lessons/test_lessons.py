"""Every lesson, told at once and through a pseudo-terminal, with right answers, wrong ones, and none."""

import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest

from clearprop.errors import ArgumentError
from clearprop.lessons import lesson, lessons, tell
from clearprop.lessons.engine import is_right, parse_number
from clearprop.notation.expressions import number_text
from clearprop.program.values import raw
from tests.tiers import later

NAMES = [
    "relu-neuron",
    "two-layer-net",
    "softmax-cross-entropy",
    "vanishing-gradient",
    "dead-relu",
    "recurrent-cell",
    "pendulum",
    "convolution",
    "attention",
    "lstm-memory",
]
COMMAND = [sys.executable, "-c", "import sys; from clearprop.cli import main; sys.exit(main(sys.argv[1:]))", "lesson"]


def answers(name):
    """The answers to a lesson's questions, as the lesson computes them."""
    chosen = lesson(name)
    numbers = chosen.experiment()
    return [float(raw(numbers[step.answer])) for step in chosen.steps if step.ask]


def told(name):
    lines = []
    score = tell(lesson(name), lines.append)
    assert score.finished
    return "\n".join(lines)


def through_a_terminal(name, replies):
    """The lesson in a process whose standard streams are a terminal; replies are typed at the prompts."""
    master, slave = pty.openpty()
    process = subprocess.Popen([*COMMAND, name], stdin=slave, stdout=slave, stderr=slave, close_fds=True)
    os.close(slave)
    shown, rest = "", list(replies)
    try:
        while True:
            try:
                shown += os.read(master, 65536).decode()
            except OSError:  # the other end is closed
                break
            prompts = shown.count("(Enter shows it): ")
            while rest and len(replies) - len(rest) < prompts:
                os.write(master, rest.pop(0).encode())
    finally:
        os.close(master)
    return process.wait(timeout=60), shown.replace("\r\n", "\n")


def test_the_list_is_complete():
    assert list(lessons()) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_told_at_once(name):
    text = told(name)
    assert not re.search(r"[{}]|nan|None", text)
    assert max(map(len, text.splitlines())) <= 100
    for answer in answers(name):
        assert f"\n  = {number_text(answer)}\n" in text + "\n"


def test_the_neuron_reads_like_the_textbook():
    text = told("relu-neuron")
    assert "x = (1, −2, 3)      w = (−3, −1, 2)      b = 1" in text
    assert "∂y/∂w = (1, −2, 3), which is x; ∂y/∂x = (−3, −1, 2), which is w; and ∂y/∂b = 1." in " ".join(text.split())
    assert "w = (−3.001, −0.998, 1.997) and b = 0.999" in " ".join(text.split())
    assert text.index("dReLU") < text.index("after the step")


def test_mazurs_published_numbers():
    numbers = lesson("two-layer-net").experiment()
    assert float(raw(numbers["error"])) == pytest.approx(0.2983711087600027, rel=1e-14)
    assert float(raw(numbers["dw5"])) == pytest.approx(0.082167041, abs=5e-10)
    assert float(raw(numbers["new_error"])) == pytest.approx(0.29102777369359933, rel=1e-14)


def test_the_loops_by_hand_are_the_loops():
    cell, swing = lesson("recurrent-cell").experiment(), lesson("pendulum").experiment()
    assert cell["term1"] + cell["term2"] + cell["term3"] == pytest.approx(cell["dw"], rel=1e-14)
    assert sorted(t.value for t in cell["opened"].terms) == pytest.approx(
        sorted(cell[f"term{k}"] for k in (1, 2, 3)), rel=1e-13
    )
    assert float(raw(swing["by_reverse"])) == pytest.approx(swing["dk"], rel=1e-14)
    assert sum(t.value for t in swing["opened"].terms) * swing["pull"] == pytest.approx(swing["dk"], rel=1e-13)
    assert float(raw(swing["new_loss"])) < swing["loss"]
    assert float(raw(swing["fitted_k"])) == pytest.approx(1.7, abs=1e-6)


def test_layers_by_hand_have_the_numbers_of_the_textbooks():
    """ "Dive into Deep Learning", §7.2: 19, 25, 37, 43; "The Illustrated Transformer": 112, 96, 14, 12, 0.88, 0.12."""
    image, query, cells = (lesson(name).experiment() for name in ("convolution", "attention", "lstm-memory"))
    assert [image[k] for k in ("y00", "y01", "y10", "y11")] == [19, 25, 37, 43]
    assert [query[k] for k in ("score0", "score1", "s0", "s1")] == [112, 96, 14, 12]
    assert [round(query[k], 2) for k in ("p0", "p1")] == [0.88, 0.12]
    assert query["ds"] == pytest.approx(query["p0"] * query["away"], rel=1e-13)
    assert (image["dw"], image["middle"], image["corner"]) == (1 + 2 + 4 + 5, 0 + 1 + 2 + 3, 1)
    assert cells["gated"] == pytest.approx(cells["f"] ** 9, rel=1e-13)
    assert 0 < cells["plain"] < 0.9**9 < cells["gated"]


@pytest.mark.parametrize("name", NAMES)
def test_right_answers(name):
    right, shown = answers(name), []
    replies = iter([f"{a:.6g}" for a in right])
    score = tell(lesson(name), shown.append, lambda prompt: next(replies))
    assert (score.asked, score.right, score.finished) == (len(right), len(right), True)
    assert f"{len(right)} of {len(right)} answers were right." in "\n".join(shown)


@pytest.mark.parametrize("name", [NAMES[0], *later(NAMES[1:])])  # a process each
def test_right_answers_on_a_terminal(name):
    right = answers(name)
    code, shown = through_a_terminal(name, [f"{a:.6g}\n" for a in right])
    assert code == 0, shown
    assert f"{len(right)} of {len(right)} answers were right." in shown


def test_wrong_answers_none_and_no_numbers():
    right = answers("relu-neuron")
    replies = ["99\n", "many\n", "2\n", "\n", *[f"{a:.6g}\n" for a in right[3:]]]
    code, shown = through_a_terminal("relu-neuron", replies)
    assert code == 0, shown
    assert "not quite: it is −3, you said 99" in shown
    assert "a number, please: 3, -0.5, 1/4 or 2e-3" in shown
    assert f"{len(right) - 2} of {len(right)} answers were right." in shown


def test_leaving_early():
    code, shown = through_a_terminal("dead-relu", ["3\n", "\x04"])
    assert code == 0, shown
    assert "answers were right" not in shown


def test_numbers_as_people_write_them():
    assert [parse_number(t) for t in ("3", "-0.5", "−2", "1/4", "2e-3", "0,5")] == [3, -0.5, -2, 0.25, 0.002, 0.5]
    assert [parse_number(t) for t in ("", "x", "1/0", "inf", "nan", "__import__('os')")] == [None] * 6
    assert is_right(0.99, 1.0) and not is_right(0.9, 1.0) and is_right(0.0, 0.0) and not is_right(0.1, 0.0)


def test_experiments_are_deterministic():
    for name in NAMES:
        first, second = (lesson(name).experiment() for _ in range(2))
        for key, value in first.items():
            if not hasattr(value, "terms"):
                assert np.array_equal(np.asarray(raw(value)), np.asarray(raw(second[key])))


def test_unknown_name():
    with pytest.raises(ArgumentError) as caught:
        lesson("relu")
    assert caught.value.message == (
        "no lesson named 'relu'\n"
        "  expected  one of: attention, convolution, dead-relu, lstm-memory, pendulum, recurrent-cell, relu-neuron, "
        "softmax-cross-entropy, two-layer-net, vanishing-gradient\n"
        "  got       'relu'\n"
        "  where     clearprop lesson\n"
        "  try       'dead-relu', the nearest name"
    )
