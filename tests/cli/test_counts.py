"""Options that take a count, with numbers that nobody can mean: a message and exit code 2 before anything is done."""

import pytest

WRONG = [str(10**30), "1" + "0" * 5000, "-1", "1.5", "nan", ""]
RUN = "runs/digits-1"
COUNTS = {
    "importance": ([RUN], ["--repeats", "--threads", "--seed"]),
    "compare": (["iris"], ["--seeds", "--epochs", "--batch-size", "--threads"]),
    "evaluate": ([RUN], ["--threads"]),
    "train": (
        ["iris"],
        ["--epochs", "--batch-size", "--grad-shards", "--patience", "--accumulate", "--seed", "--folds", "--members"],
    ),
    "sweep": (["iris", "--set", "lr=0.1,0.2"], ["--trials", "--epochs", "--threads"]),
}
"""What a command is given beside the option, and its options."""
CASES = [(command, option) for command, (_, options) in COUNTS.items() for option in options]


@pytest.mark.parametrize(("name", "option"), CASES)
def test_counts_that_nobody_means(command, eager, name, option):
    if name == "importance":
        assert command("train", "iris", "--epochs", "1", "--out", RUN).code == 0
    taken = {}
    for wrong in WRONG:
        done = command(name, *COUNTS[name][0], f"{option}={wrong}")
        if done.code != 2 or "Traceback" in done.err or "expected" not in done.err:
            taken[wrong[:40]] = done
    assert not taken


@pytest.mark.parametrize(
    ("option", "text"), [("--fork", f"{RUN}@1{'0' * 5000}"), ("--augment", f"shift:1{'0' * 5000}")]
)
def test_counts_within_a_text(command, option, text):
    done = command("train", "digits", option, text)
    assert done.code == 2, done.err
    assert "expected" in done.err
