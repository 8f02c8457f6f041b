"""The peers of the benchmarks: the paper's network written by hand, and pythae's models of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

Loss = Callable[[torch.Tensor], torch.Tensor]  # bits (B, 784) -> nats a row


class Gated(nn.Module):
    """A gated layer from two linear ones."""

    def __init__(self, a: int, b: int):
        super().__init__()
        self.value, self.gate = nn.Linear(a, b), nn.Linear(a, b)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.value(x) * torch.sigmoid(self.gate(x))


def encoder() -> nn.Module:
    return nn.Sequential(Gated(784, 300), Gated(300, 300), nn.Linear(300, 80))


def decoder() -> nn.Module:
    return nn.Sequential(Gated(40, 300), Gated(300, 300), nn.Linear(300, 784))


class Plain(nn.Module):
    """A VAE by hand: gated layers from two linear ones, the closed-form KL."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = encoder(), decoder()

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        loc, log_var = self.encoder(y).chunk(2, -1)
        z = loc + (0.5 * log_var).exp() * torch.randn_like(loc)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), y, reduction="sum") / len(y)
        return reconstruction + 0.5 * (loc.square() + log_var.exp() - 1 - log_var).sum() / len(y)


def pythae(components: int = 0) -> Any:
    """Make pythae's VAE, or its VAMP with so many pseudo-inputs; None where pythae is not installed."""
    try:
        from pythae.models import VAE, VAMP, VAEConfig, VAMPConfig
        from pythae.models.base.base_utils import ModelOutput
        from pythae.models.nn import BaseDecoder, BaseEncoder
    except ImportError:
        return None

    class Encoder(BaseEncoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = encoder()

        def forward(self, y: torch.Tensor) -> Any:
            loc, log_var = self.layers(y.reshape(len(y), -1)).chunk(2, -1)
            return ModelOutput(embedding=loc, log_covariance=log_var)

    class Decoder(BaseDecoder):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.layers = decoder()

        def forward(self, z: torch.Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.layers(z)))

    given = {"input_dim": (784,), "latent_dim": 40, "reconstruction_loss": "bce"}
    if components:
        return VAMP(VAMPConfig(number_components=components, **given), encoder=Encoder(), decoder=Decoder())
    return VAE(VAEConfig(**given), encoder=Encoder(), decoder=Decoder())
