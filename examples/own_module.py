"""A module of your own: a dense layer with a shortcut around it, used inside a larger network."""

import numpy as np

import clearprop as cl


class Residual(cl.nn.Module):
    """x + scale · tanh(dense(x)): close to the identity at first, so that deep stacks of it train well."""

    dense: cl.nn.Dense
    scale: cl.Tensor = cl.nn.parameter()

    def __init__(self, size, rng):
        super().__init__(dense=cl.nn.Dense(size, size, rng=rng), scale=np.float32(0.1))

    def forward(self, x):
        """Input and output have the same shape."""
        return x + self.scale * cl.tanh(self.dense(x))


keys = cl.random.split(cl.random.key(0), 6)
model = cl.nn.Sequential(
    cl.nn.Dense(1, 16, rng=keys[0]), *(Residual(16, k) for k in keys[1:5]), cl.nn.Dense(16, 1, rng=keys[5])
)
print(model)

x = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
run = cl.fit(model, (x, np.sin(2 * x)), loss="mse", optimizer=cl.optim.adam(0.01), epochs=100, seed=0)
error = run.evaluate(x, np.sin(2 * x))
scales = [value.item() for path, value in run.model.parameters().items() if path.endswith("scale")]
print("mean squared error:", error)
print("scales learned:", np.round(scales, 3))
