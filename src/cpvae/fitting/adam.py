"""Adam on a few vectors, by PyTorch's fused function.

`torch.optim.Adam` imports PyTorch's compiler when it is made, which takes longer than many a fit of a small table. Its
function does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.optim.adam import adam

BETAS, EPS = (0.9, 0.999), 1e-8


class Adam:
    """Adam (Kingma and Ba, 2015) on vectors, each with a learning rate of its own.

    Args:
        vectors: changed in place by `step`.

    Attributes:
        rates: the learning rates, tensors without dimensions, so that a recorded step can read them.
    """

    def __init__(self, vectors: Sequence[Tensor]):
        self.vectors = list(vectors)
        self.capturable = self.vectors[0].device.type == "cuda"
        self.rates = [torch.zeros((), dtype=torch.float32, device=v.device) for v in self.vectors]
        self.steps = [torch.zeros((), dtype=torch.float32, device=v.device) for v in self.vectors]
        self.means = [torch.zeros_like(v) for v in self.vectors]
        self.squares = [torch.zeros_like(v) for v in self.vectors]

    def step(self, gradients: Sequence[Tensor]) -> None:
        """Move each vector against its gradient."""
        with torch.no_grad():
            for i, vector in enumerate(self.vectors):
                adam(
                    [vector],
                    [gradients[i]],
                    [self.means[i]],
                    [self.squares[i]],
                    [],
                    [self.steps[i]],
                    fused=True,
                    capturable=self.capturable,
                    amsgrad=False,
                    beta1=BETAS[0],
                    beta2=BETAS[1],
                    lr=self.rates[i],
                    weight_decay=0.0,
                    eps=EPS,
                    maximize=False,
                )

    def state(self) -> dict[str, Tensor]:
        """Give the moments and steps by the names that checkpoints have for them."""
        return {
            f"{i}.{name}": parts[i]
            for i in range(len(self.vectors))
            for name, parts in (("step", self.steps), ("exp_avg", self.means), ("exp_avg_sq", self.squares))
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Take over what `state` gave; a run that had made no step wrote nothing."""
        for name, mine in self.state().items():
            if name in state:
                mine.copy_(state[name])
