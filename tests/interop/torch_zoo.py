"""The twelve modules that must come over whole, as one would write them in PyTorch, each small."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.interop.torch_modules import draw

INPUTS: dict[str, tuple[int, ...]] = {
    "mlp": (5, 4),
    "cnn": (3, 1, 8, 8),
    "resnet block": (3, 4, 6, 6),
    "depthwise": (3, 4, 6, 6),
    "lstm": (3, 6, 3),
    "gru": (3, 6, 3),
    "transformer": (3, 5, 8),
    "vit": (3, 1, 8, 8),
    "autoencoder": (3, 1, 8, 8),
    "embedding bag": (4, 6),
    "attention pooling": (3, 5, 8),
    "mixture": (5, 4),
}
"""The shapes of their inputs."""


def inputs_of(name: str) -> list[np.ndarray]:
    """What a module of the zoo is called with."""
    drawn = draw(f"input of {name}", INPUTS[name.removesuffix(", training")])
    return [np.abs(drawn * 8).astype(int) if name.startswith("embedding") else drawn]


def zoo(torch: Any) -> dict[str, tuple[Any, list[np.ndarray]]]:
    """Modules with their inputs by name: all for inference, and in training mode those that it changes."""
    made = {name: module.eval() for name, module in _modules(torch).items()}
    training = {f"{name}, training": module for name, module in _modules(torch).items() if _follows_mode(module)}
    for module in training.values():
        for part in module.modules():
            if hasattr(part, "p") and isinstance(part.p, float):
                part.p = 0.0  # two generators of random numbers would not agree
            if isinstance(getattr(part, "dropout", None), float):
                part.dropout = 0.0
    return {name: (module, inputs_of(name)) for name, module in {**made, **training}.items()}


def _follows_mode(module: Any) -> bool:
    return any("Norm" in type(p).__name__ or "Dropout" in type(p).__name__ for p in module.modules())


def _modules(torch: Any) -> dict[str, Any]:
    nn, f = torch.nn, torch.nn.functional

    class ResNetBlock(nn.Module):  # type: ignore[misc,name-defined]  # PyTorch is known where this runs; so below
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(6)
            self.conv2 = nn.Conv2d(6, 6, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(6)
            self.skip = nn.Sequential(nn.Conv2d(4, 6, 1, stride=2, bias=False), nn.BatchNorm2d(6))
            self.relu = nn.ReLU(inplace=True)

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            y += self.skip(x)
            return self.relu(y)

    class Sequence(nn.Module):
        def __init__(self, kind: Any) -> None:
            super().__init__()
            self.layers = kind(3, 4, num_layers=2, bidirectional=True, batch_first=True)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.layers(x)[0][:, -1])

    class ViT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(1, 8, 4, stride=4)
            self.token = nn.Parameter(torch.zeros(1, 1, 8))
            self.positions = nn.Parameter(torch.zeros(1, 5, 8))
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True, activation="gelu")
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.positions
            return self.head(self.encoder(x)[:, 0])

    class AttentionPooling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query = nn.Parameter(torch.zeros(1, 1, 8))
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
            self.head = nn.Linear(8, 2)

        def forward(self, x: Any) -> Any:
            query = self.query.expand(x.shape[0], -1, -1)
            pooled, weights = self.attention(query, x, x)
            return self.head(pooled[:, 0]), weights

    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(4, 3)
            experts = [nn.Sequential(nn.Linear(4, 5), nn.GELU(), nn.Linear(5, 2)) for _ in range(3)]
            self.experts = nn.ModuleList(experts)

        def forward(self, x: Any) -> Any:
            shares = self.gate(x).softmax(dim=-1)
            answers = torch.stack([expert(x) for expert in self.experts], dim=1)
            return (answers * shares.unsqueeze(-1)).sum(dim=1)

    class Bag(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.EmbeddingBag(11, 4, mode="mean", padding_idx=0)
            self.head = nn.Linear(4, 2)

        def forward(self, x: Any) -> Any:
            return self.head(f.relu(self.table(x)))

    encoder = nn.Sequential(nn.Conv2d(1, 4, 3, stride=2, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(64, 3))
    decoder = nn.Sequential(
        nn.Linear(3, 64),
        nn.Unflatten(1, (4, 4, 4)),
        nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1),
        nn.Sigmoid(),
    )
    return {
        "mlp": nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 3)),
        "cnn": nn.Sequential(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 8, 3),
            nn.LeakyReLU(0.1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        ),
        "resnet block": ResNetBlock(),
        "depthwise": nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1, groups=4),
            nn.Conv2d(4, 6, 1),
            nn.GroupNorm(2, 6),
            nn.ReLU6(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(54, 2),
        ),
        "lstm": Sequence(nn.LSTM),
        "gru": Sequence(nn.GRU),
        "transformer": nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        "vit": ViT(),
        "autoencoder": nn.Sequential(encoder, decoder),
        "embedding bag": Bag(),
        "attention pooling": AttentionPooling(),
        "mixture": Mixture(),
    }
