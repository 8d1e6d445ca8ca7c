"""Optimizers written again, from the papers' formulas, in plain NumPy: one function per rule.

A rule takes (p, g, memory, t) for one array, t = 1, 2, …, changes the dict `memory`, and returns the new p.
"""

import numpy as np


def sgd(lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    def rule(p, g, memory, t):
        g = g + weight_decay * p
        if momentum:
            memory["m"] = momentum * memory.get("m", 0.0) + g
            g = g + momentum * memory["m"] if nesterov else memory["m"]
        return p - lr * g

    return rule


def adam(lr, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0, decays=lambda p: True, amsgrad=False):
    def rule(p, g, memory, t):
        memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
        memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
        v = memory["v"]
        if amsgrad:
            v = memory["top"] = np.maximum(memory.get("top", 0.0), v)
        step = memory["m"] / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        return p - lr * (step + (weight_decay * p if decays(p) else 0.0))

    return rule


def nadam(lr, b1=0.9, b2=0.999, eps=1e-8, psi=4e-3):
    def mu(t):
        return b1 * (1 - 0.5 * 0.96 ** (t * psi))

    def rule(p, g, memory, t):
        memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
        memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
        past = np.prod([mu(i) for i in range(1, t + 1)])
        ahead = mu(t + 1) * memory["m"] / (1 - past * mu(t + 1)) + (1 - mu(t)) * g / (1 - past)
        return p - lr * ahead / (np.sqrt(memory["v"] / (1 - b2**t)) + eps)

    return rule


def radam(lr, b1=0.9, b2=0.999, eps=1e-8):
    rho_inf = 2 / (1 - b2) - 1

    def rule(p, g, memory, t):
        memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
        memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
        m = memory["m"] / (1 - b1**t)
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        if rho < 5:
            return p - lr * m
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return p - lr * r * m / (np.sqrt(memory["v"] / (1 - b2**t)) + eps)

    return rule


def nradam(lr, b1=0.9, b2=0.999, eps=1e-8, psi=4e-3, amsgrad=False):
    """NAdam's numerator, RAdam's factor and, if asked for, AMSGrad's denominator."""
    rho_inf = 2 / (1 - b2) - 1

    def mu(t):
        return b1 * (1 - 0.5 * 0.96 ** (t * psi))

    def rule(p, g, memory, t):
        memory["m"] = b1 * memory.get("m", 0.0) + (1 - b1) * g
        memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
        memory["top"] = np.maximum(memory.get("top", 0.0), memory["v"])
        past = np.prod([mu(i) for i in range(1, t + 1)])
        ahead = mu(t + 1) * memory["m"] / (1 - past * mu(t + 1)) + (1 - mu(t)) * g / (1 - past)
        rho = rho_inf - 2 * t * b2**t / (1 - b2**t)
        if rho < 5:
            return p - lr * ahead
        r = np.sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho))
        return p - lr * r * ahead / (np.sqrt(memory["top" if amsgrad else "v"] / (1 - b2**t)) + eps)

    return rule


def rmsprop(lr, decay=0.9, eps=1e-8, momentum=0.0, centered=False):
    def rule(p, g, memory, t):
        memory["v"] = decay * memory.get("v", 0.0) + (1 - decay) * g**2
        spread = memory["v"]
        if centered:
            memory["a"] = decay * memory.get("a", 0.0) + (1 - decay) * g
            spread = spread - memory["a"] ** 2
        memory["m"] = momentum * memory.get("m", 0.0) + g / (np.sqrt(spread) + eps)
        return p - lr * memory["m"]

    return rule


def adagrad(lr, eps=1e-10, initial=0.0):
    def rule(p, g, memory, t):
        memory["v"] = memory.get("v", initial) + g**2
        return p - lr * g / (np.sqrt(memory["v"]) + eps)

    return rule


def lion(lr, b1=0.9, b2=0.99, weight_decay=0.0):
    def rule(p, g, memory, t):
        m = memory.get("m", 0.0)
        memory["m"] = b2 * m + (1 - b2) * g
        return p - lr * (np.sign(b1 * m + (1 - b1) * g) + weight_decay * p)

    return rule


def rprop(initial=0.01, shrink=0.5, grow=1.2, smallest=1e-6, largest=50.0):
    def one(p, g, size, before):
        if g * before > 0:
            size = min(size * grow, largest)
        elif g * before < 0:
            size, g = max(size * shrink, smallest), 0.0
        return p - np.sign(g) * size, size, g

    def rule(p, g, memory, t):
        size, before = memory.get("size", np.full(p.shape, initial)), memory.get("before", np.zeros(p.shape))
        p, memory["size"], memory["before"] = np.vectorize(one, otypes=[float] * 3)(p, g, size, before)
        return p

    return rule


def schedule_free(lr, base, b1=0.9, b2=0.999, eps=1e-8, weight_decay=0.0, warmup=0, r=0.0):
    """The three sequences x, y, z as the paper has them; `p` is y."""

    def rule(y, g, memory, t):
        x, z = memory.get("x", y), memory.get("z", y)
        rate = lr * (min(1.0, t / warmup) if warmup else 1.0)
        if base == "adamw":
            memory["v"] = b2 * memory.get("v", 0.0) + (1 - b2) * g**2
            g = g / (np.sqrt(memory["v"]) + eps)
            rate *= np.sqrt(1 - b2**t)
        g = g + weight_decay * y
        z = z - rate * g
        weight = t**r * rate**2
        memory["total"] = memory.get("total", 0.0) + weight
        c = weight / memory["total"]
        memory["x"], memory["z"] = (1 - c) * x + c * z, z
        return (1 - b1) * z + b1 * memory["x"]

    return rule


def run(rule, params, gradient, steps, before=lambda grads, params: grads):
    """The parameters after each step; `before` may change all gradients together (clipping)."""
    params = {k: np.array(v) for k, v in params.items()}
    memory = {k: {} for k in params}
    for t in range(1, steps + 1):
        grads = before(gradient(params, t), params)
        params = {k: rule(params[k], grads[k], memory[k], t) for k in params}
        yield params, memory
