"""Steps of training without Python: recorded once as a CUDA graph and replayed; on other devices simply called.

Experimental: no test of the project has run it on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import torch

from cpvae.errors import warn
from cpvae.nn import draws

EAGER = 3  # calls before the recording, in which libraries choose their kernels and memory


class Captured:
    """A function without arguments that reads and writes the same tensors in every call.

    What changes from call to call, it must read from tensors; random numbers are those of `cpvae.nn.draws`, which go on
    from replay to replay. The first calls run as they are; then, on a CUDA device, the function is recorded and
    from there on replayed, with the same results and without the time that Python takes.

    >>> count = torch.zeros(())
    >>> step = Captured(lambda: count.add_(1), count.device)
    >>> for _ in range(10):
    ...     step()
    >>> count
    tensor(10.)
    """

    def __init__(self, function: Callable[[], object], device: torch.device):
        self.function = function
        self.device = device
        self.records = device.type == "cuda"
        self.calls = 0
        self.graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        self.calls += 1
        if not self.records:
            self.function()
        elif self.calls <= EAGER:
            aside = torch.cuda.Stream()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                self.function()
            torch.cuda.current_stream().wait_stream(aside)
        else:
            if self.graph is None:
                self.graph = self._record()
            if self.graph is None:
                self.function()
            else:
                self.graph.replay()

    def _record(self) -> torch.cuda.CUDAGraph | None:
        graph = torch.cuda.CUDAGraph()
        generator = draws.generator(self.device)
        if generator is not None:
            graph.register_generator_state(generator)
        try:
            with torch.cuda.graph(graph):
                self.function()
        except RuntimeError as error:
            self.records = False
            cause = str(error).splitlines()[0]
            warn(f"the step could not be recorded as a CUDA graph ({cause}); training goes on without, slower")
            return None
        return graph
