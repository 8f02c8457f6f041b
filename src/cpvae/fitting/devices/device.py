"""The device to compute on, from its name."""

from __future__ import annotations

import torch

from cpvae.errors import InputError


def find(asked: str | torch.device) -> torch.device:
    """Find the device of a name; "auto" is the GPU where there is one.

    Raises:
        InputError: it cannot be used on this machine.

    Examples:
        >>> find("cpu")
        device(type='cpu')
    """
    if asked == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        here = torch.zeros(1, device=asked)
        here.item()  # "meta" holds no values
        return here.device
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"device={asked!r} cannot be used on this machine; use 'cpu' or 'auto'") from error
