"""Random programs of the later functions have JAX's values, gradients, tangents and second derivatives."""

import json
import os
import subprocess
import warnings

import numpy as np
import pytest

import clearprop as cl
from benchmarks.peers import ROOT, provide
from tests.primitives.jax_programs import COUNT, programs, results


@pytest.mark.verify
def test_jax_agrees_on_random_programs():
    installed = provide(["jax"])["jax"]
    assert not installed.absent, installed.absent
    command = [installed.python, "-W", "ignore", str(ROOT / "tests" / "primitives" / "jax_programs.py")]
    alone = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=alone)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs, names = json.loads(done.stdout), {n: getattr(cl, n) for n in dir(cl)}
    assert len(theirs) == COUNT
    for text, want in zip(programs(), theirs, strict=True):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = results(text, names, cl, cl.sum)
        for mine, value in zip(found, want, strict=True):
            np.testing.assert_allclose(mine, value, rtol=1e-9, atol=1e-12, err_msg=text)
