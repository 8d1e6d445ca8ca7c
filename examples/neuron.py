"""One neuron, y = ReLU(x·w + b): forward, backward, every factor of every derivative, one step of descent."""

import clearprop as cl

x = cl.tensor([1.0, -2.0, 3.0], name="x", requires_grad=True)
w = cl.tensor([-3.0, -1.0, 2.0], name="w", requires_grad=True)
b = cl.tensor(1.0, name="b", requires_grad=True)


def neuron(x, w, b):
    """A product, a sum and a gate."""
    return cl.relu(cl.sum(x * w) + b)


y = neuron(x, w, b)
print("forward   y =", y.item())

y.backward()
print("backward  ∂y/∂w =", w.grad.tolist(), " ∂y/∂x =", x.grad.tolist(), " ∂y/∂b =", b.grad.item())

for leaf in (w, x, b):
    print()
    print(cl.explain(y, wrt=leaf))

rate = 0.001
w, b = w.updated(-rate * w.grad), b.updated(-rate * b.grad)
print()
print("one step  w =", w.tolist(), " b =", b.item(), " y =", round(neuron(x, w, b).item(), 6))
