"""Steps down the gradient: the weights of a model as vectors, Adam on them, and their moving average."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from cpvae.fitting.adam import Adam
from cpvae.fitting.devices.flat import Flat
from cpvae.nn.layers import variance
from cpvae.probability.models import VAE

NOISE_AHEAD = 10.0  # times the learning rate, for the few numbers that a likelihood learns: all else waits for them
GUARD = 10.0  # a gradient this many times the usual norm is scaled back to it
AVERAGE_EVERY = 10  # steps between updates of the moving average, in runs of a thousand steps or more


class Descent:
    """Adam on the weights of a model, which become views of a few vectors.

    All that changes from step to step is in tensors, so that a step can be recorded (`cpvae.fitting.devices.capture`).

    Args:
        decay: of the moving average of the weights; 0 takes none.
        total: steps of the whole run.
        spread, n_rows: each weight of the decoder has a Gaussian prior with `spread` times the standard deviation of
            Glorot's rule, so that the steps go to the most probable decoder given all n rows (MacKay, 1992). Each row
            bears an n-th of its log-density: few rows feel it, and many do not. None is no prior.

    Attributes:
        gradients: the vectors that `collect` fills.
        broken: 1 from the first number on that was not finite; the weights stay as they are from there.
        usual_norm: a mean of the norms of the gradients so far.
        pulls: by which the prior draws the numbers of each vector towards 0, for each row.
        averages: the moving averages, one for each vector, or none.
    """

    def __init__(self, model: VAE, decay: float, total: int, spread: float | None = None, n_rows: int = 1):
        learned = {id(p) for p in model.noises}
        parts = [
            (1.0, Flat(p for p in model.parameters() if id(p) not in learned)),
            (NOISE_AHEAD, Flat(model.noises)),
        ]
        parts = [(ahead, flat) for ahead, flat in parts if len(flat)]
        self.flats = [flat for _, flat in parts]
        self.gradients = [flat.gradient for flat in self.flats]
        self.device = self.flats[0].values.device
        self.ahead = [ahead for ahead, _ in parts]
        self.optimizer = Adam([flat.values for flat in self.flats])
        self.pulls = [] if spread is None else [self._pull(model, flat, spread**2 * n_rows) for flat in self.flats]
        self.broken, self.usual_norm = self.number(), self.number()
        self.decay, self.every = decay, min(AVERAGE_EVERY, max(1, total // 100))
        self.averages: list[Tensor] = []
        self.restart_average()

    @staticmethod
    @torch.no_grad()
    def _pull(model: VAE, flat: Flat, factor: float) -> Tensor:
        """Compute 1 / (variance * factor) of each number of the decoder's matrices; 0 for all others."""
        held = {id(p) for p in model.decoder.parameters() if p.dim() > 1} - {id(p) for p in model.noises}
        found = torch.zeros_like(flat.values)
        for p, part in zip(flat.parameters, flat.views(found), strict=True):
            if id(p) in held:
                part.fill_(1.0 / (variance(p) * factor))
        return found

    def number(self) -> Tensor:
        """Make a number that a recorded step can read and write."""
        return torch.zeros((), dtype=torch.float32, device=self.device)

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for mine, ahead in zip(self.optimizer.rates, self.ahead, strict=True):
            mine.fill_(ahead * rate)

    def collect(self) -> None:
        """Move what `backward` left with the weights into `gradients`."""
        for flat in self.flats:
            flat.collect()

    def step(self, finite: Tensor) -> None:
        """Move the weights along `gradients`; they stay where they are unless these and all values so far are finite.

        A gradient far longer than is usual is scaled back. On the CPU it costs nothing to look at a number, and then
        the gradient is read once less; other devices would have to be waited for.
        """
        for i, pull in enumerate(self.pulls):
            self.gradients[i].addcmul_(self.flats[i].values, pull)
        size = torch.nn.utils.get_total_norm(self.gradients)
        self.broken.clamp_min_((~(size.isfinite() & finite)).float())
        usual = self.usual_norm > 0
        huge = usual & (size > GUARD * self.usual_norm)
        if self.device.type != "cpu" or huge or self.broken:
            shrink = torch.where(huge, size / self.usual_norm, 1.0)
            for gradient in self.gradients:
                gradient.copy_(torch.where(self.broken > 0, 0.0, gradient / shrink))
            for rate in self.optimizer.rates:
                rate.mul_(1.0 - self.broken)
        held = torch.where(huge, GUARD * self.usual_norm, size)
        self.usual_norm.copy_(torch.where(usual, 0.99 * self.usual_norm + 0.01 * held, held))
        self.optimizer.step(self.gradients)

    @torch.no_grad()
    def update_average(self, step: int) -> None:
        """Move the average towards the weights, faster in the first steps, which are soon forgotten.

        `torch.optim.swa_utils.AveragedModel` copies a module and averages its parameters one by one, with one decay for
        all steps; here they are one vector or two, and an average is one `lerp_`.
        """
        if not self.averages or (step + 1) % self.every:
            return
        decay = min(self.decay, (step + 1) / (step + 10))
        for average, flat in zip(self.averages, self.flats, strict=True):
            average.lerp_(flat.values, 1.0 - decay**self.every)

    def restart_average(self) -> None:
        """Begin the average anew, at the weights as they are."""
        self.averages = [flat.values.detach().clone() for flat in self.flats] if self.decay else []

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Give the model the average of its weights, for the block."""
        if not self.averages:
            yield
            return
        kept = [flat.values.clone() for flat in self.flats]
        for average, flat in zip(self.averages, self.flats, strict=True):
            flat.values.copy_(average)
        try:
            yield
        finally:
            for mine, flat in zip(kept, self.flats, strict=True):
                flat.values.copy_(mine)

    def release(self) -> None:
        """Give every weight memory of its own again."""
        for flat in self.flats:
            flat.release()
