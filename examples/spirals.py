"""Two spirals, one inside the other: a small network trained with `cl.fit`, drawn in the terminal."""

import numpy as np

import clearprop as cl


def spirals(n, seed):
    """n points on each of two arms that wind once and a half around the origin, with a little noise."""
    rng = np.random.default_rng(seed)
    angle = np.sqrt(rng.uniform(size=2 * n)) * 3 * np.pi
    arm = np.repeat([0, 1], n)
    radius = angle / (3 * np.pi) * np.where(arm == 0, 1.0, -1.0)
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return points + rng.normal(scale=0.02, size=points.shape), arm


x, y = spirals(300, seed=0)
model = cl.nn.mlp([2, 64, 64, 2], activation="relu", seed=0)
print(model)

run = cl.fit(model, (x, y), optimizer=cl.optim.adam(0.01), epochs=100, batch_size=50, metrics=["accuracy"])
for epoch in run.history[::20]:
    print(f"epoch {epoch['epoch']:3}  loss {epoch['train']['loss']:.4f}  accuracy {epoch['train']['accuracy']:.3f}")

x_new, y_new = spirals(300, seed=1)
print("on new points:", run.evaluate(x_new, y_new))

# The plane as the network sees it: one character per point, one sign per class.
columns, rows = np.linspace(-1.1, 1.1, 64), np.linspace(1.1, -1.1, 28)
plane = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
print("\n".join("".join(line) for line in np.array([".", "#"])[run.predict(plane)].reshape(28, 64)))
