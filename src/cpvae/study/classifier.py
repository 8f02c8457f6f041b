"""The network behind the judge of generated rows, and its training.

Images of any size from 8x8 up go through convolutions that halve them until a side is below 8 pixels; tables and
vectors go through two hidden layers. Both end in `N_FEATURES` activations, the features.

Training is AdamW (Loshchilov and Hutter, 2019) with batch normalisation (Ioffe and Szegedy, 2015) on a one-cycle
schedule (Smith and Topin, 2019). The loop is not that of `cpvae.fitting.loop`, which is for variational bounds, nor
scikit-learn's `MLPClassifier`, which has no convolutions and does not give the activations of its layers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn import functional as F

from cpvae.data.rows import Rows

N_FEATURES = 64
WIDTHS = (16, 32)  # channels after the first halving and after the others
SIDE = 4  # of the map that reaches the features, whatever the size of the image
BATCH, RATE, DECAY = 128, 0.01, 0.01
EPOCHS = 4
STEPS = (300, 1500)  # least and most; 1,500 are four epochs of MNIST


class Classifier(nn.Module):
    """A network from rows in the units of the data, ``(B, F)``, to features ``(B, 64)``.

    `head` takes features to logits of the classes. A missing number, NaN, is put at the mean of its column.

    Args:
        shape: of a row, ``(features,)`` or ``(channels, height, width)``.
        n_classes: how many logits.
    """

    def __init__(self, shape: Sequence[int], n_classes: int):
        super().__init__()
        self.shape = tuple(int(size) for size in shape)
        self.is_image = len(self.shape) == 3
        n_units = 1 if self.is_image else self.shape[0]  # an image has one scale, a table one for each column
        self.register_buffer("loc", torch.zeros(n_units, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(n_units, dtype=torch.float64))
        self.loc: Tensor
        self.scale: Tensor
        self.body = nn.Sequential(*(self._image_layers() if self.is_image else self._table_layers()))
        self.head = nn.Linear(N_FEATURES, n_classes)

    def _image_layers(self) -> Iterator[nn.Module]:
        channels, height, width = self.shape
        yield nn.Unflatten(1, self.shape)
        side, out = min(height, width), WIDTHS[0]
        while side >= 2 * SIDE:
            yield from (nn.Conv2d(channels, out, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(out), nn.ReLU())
            channels, out, side = out, WIDTHS[1], side // 2
        yield from (nn.Conv2d(channels, WIDTHS[1], 3, padding=1), nn.BatchNorm2d(WIDTHS[1]), nn.ReLU())
        yield from (nn.AdaptiveAvgPool2d(SIDE), nn.Flatten())
        yield from (nn.Linear(WIDTHS[1] * SIDE**2, N_FEATURES), nn.ReLU())

    def _table_layers(self) -> Iterator[nn.Module]:
        for a, b in ((self.shape[0], 2 * N_FEATURES), (2 * N_FEATURES, N_FEATURES)):
            yield from (nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU())

    def set_units(self, rows: Rows) -> None:
        """Take means and standard deviations from the training rows; those of a constant column are its value and 1."""
        scaler = StandardScaler()
        for x in rows.chunks():
            scaler.partial_fit(x.double().reshape(-1, len(self.loc)).numpy())
        self.loc.copy_(torch.from_numpy(scaler.mean_).nan_to_num(0.0))
        self.scale.copy_(torch.from_numpy(scaler.scale_).nan_to_num(1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Compute the features ``(B, 64)`` of rows ``(B, F)``."""
        standard = ((x.double() - self.loc) / self.scale).nan_to_num(0.0)
        features: Tensor = self.body(standard.float())
        return features


def train(network: Classifier, rows: Rows, targets: Tensor, full: float | None) -> None:
    """Minimise the cross-entropy in a fixed number of steps; rows come in the order of random permutations.

    Args:
        rows: ``n`` of them; targets: the index of the class of each, ``(n,)``.
        full: the value that means ink with certainty. Each row is then shown as it is or as a fresh draw of its
            pixels, with equal chance. None draws nothing.
    """
    n = len(rows)
    steps = int(np.clip(EPOCHS * n // BATCH, *STEPS))
    order = torch.cat([torch.randperm(n) for _ in range(math.ceil(steps * BATCH / n))])[: steps * BATCH]
    optimiser = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    network.train()
    for i in order.split(BATCH):
        x = rows.take(i)
        if full is not None:
            x = x.float()
            drawn = torch.bernoulli((x / full).clamp(0, 1)) * full
            x = torch.where(torch.rand(len(x), 1) < 0.5, drawn, x)
        loss = F.cross_entropy(network.head(network(x)), targets[i])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
