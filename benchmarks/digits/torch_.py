import torch
from torch import nn

from benchmarks.digits.common import BATCH, GOAL, MOST, RATE, arguments, done, initial

data, seed = arguments()
x, y, xv, yv = (torch.from_numpy(data[n]) for n in ("x_train", "y_train", "x_val", "y_val"))
torch.manual_seed(seed)
layers = []
for weight, bias in initial(seed):
    layer = nn.Linear(*weight.shape)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(weight.T))
        layer.bias.copy_(torch.from_numpy(bias))
    layers += [layer, nn.ReLU()]
model = nn.Sequential(*layers[:-1])
optimizer = torch.optim.Adam(model.parameters(), lr=RATE, fused=True)
for epoch in range(1, MOST + 1):  # noqa: B007 - how far it came is what is reported
    for rows in torch.randperm(len(x)).split(BATCH):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        accuracy = (model(xv).argmax(1) == yv).float().mean()
    if accuracy >= GOAL:
        break
done(epoch, accuracy)
