"""What PyTorch does not differentiate twice is compared with JAX."""

import json
import os
import subprocess

import numpy as np
import pytest

import clearprop as cl
from benchmarks.peers import ROOT, provide
from tests.primitives.jax_derivatives import derivatives, of_one


@pytest.mark.verify
def test_jax_has_the_same_values_first_and_second_derivatives():
    installed = provide(["jax"])["jax"]
    assert not installed.absent, installed.absent
    command = [installed.python, "-W", "ignore", str(ROOT / "tests" / "primitives" / "jax_derivatives.py")]
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    mine, theirs = derivatives(of_one(cl, cl.hard_sigmoid), cl.grad, cl.sum), json.loads(done.stdout)
    assert mine.keys() == theirs.keys()
    for name, want in theirs.items():
        np.testing.assert_allclose(mine[name], want, rtol=1e-12, atol=1e-14, err_msg=name)
