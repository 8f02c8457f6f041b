"""Copies of images: the deformation that was drawn, the same for all that belongs together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import map_coordinates
from sklearn.datasets import load_digits

from cpvae.data import augment
from cpvae.data.augment import AUGMENTS, Affine, Hide, Roll, Shift
from cpvae.fitting.devices.world import World
from cpvae.nn.draws import seeded

DIGITS = torch.from_numpy(load_digits().data[:20].astype(np.float32))


def of_numbers(affine: Affine, images: torch.Tensor, u: list[float], monkeypatch) -> np.ndarray:
    """Make copies with these numbers from -1 to 1 in place of random ones."""
    monkeypatch.setattr(augment, "draw_rows", lambda size, draw: torch.tensor(u, dtype=images.dtype).expand(size))
    return affine(images).numpy()


def about_the_centre(image: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Deform an image by SciPy: the value at a place, in half sides from the centre, is at ``matrix place + shift``."""
    height, width = image.shape
    y, x = np.meshgrid((2 * np.arange(height) + 1) / height - 1, (2 * np.arange(width) + 1) / width - 1, indexing="ij")
    from_x, from_y = np.einsum("ij,jn->in", matrix, np.stack([x.ravel(), y.ravel()])) + shift[:, None]
    places = [((from_y + 1) * height - 1) / 2, ((from_x + 1) * width - 1) / 2]
    return map_coordinates(image, places, order=1, mode="nearest").reshape(height, width)


def test_a_copy_is_turned_scaled_sheared_and_shifted_as_scipy_does_it(monkeypatch):
    image = np.random.RandomState(0).rand(9, 7)
    u = [0.7, -0.5, 0.3, 0.9, -0.4, 0.8]
    copy = of_numbers(Affine((1, 9, 7), 30, 0.2, 0.3, 0.1), torch.from_numpy(image).view(1, -1), u, monkeypatch)
    angle = np.radians(30 * u[0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, 0.3 * u[3]], [0, 1]])
    scale = np.diag(np.exp([0.2 * u[1], 0.2 * u[2]]))
    expected = about_the_centre(image, turn @ shear @ scale, 2 * 0.1 * np.array(u[4:]))
    np.testing.assert_allclose(copy.reshape(9, 7), expected, atol=1e-6)


def test_channels_of_an_image_are_deformed_together():
    colour = DIGITS.repeat(1, 3)
    copies = Affine((3, 8, 8))(colour).view(20, 3, 64)
    assert torch.equal(copies[:, 0], copies[:, 1])
    assert not torch.allclose(copies[:, 0], DIGITS, atol=1.0)


def test_bytes_and_bits_are_taken_as_numbers():
    torch.manual_seed(0)
    from_bytes = Affine((1, 8, 8))(DIGITS.to(torch.uint8))
    torch.manual_seed(0)
    assert torch.equal(from_bytes, Affine((1, 8, 8))(DIGITS))
    assert set(Affine((1, 8, 8), 0, 0, 0, 0)(DIGITS > 8).unique().round().tolist()) == {0.0, 1.0}


def test_each_image_gets_numbers_of_its_own_and_each_call_new_ones():
    same = DIGITS[:1].repeat(5, 1)
    copies = Affine((1, 8, 8))(same)
    assert len(copies.unique(dim=0)) == 5
    assert not torch.equal(copies, Affine((1, 8, 8))(same))


@pytest.mark.parametrize("name", AUGMENTS)
def test_two_processes_make_together_the_copies_of_one(name):
    affine = AUGMENTS[name]((1, 8, 8) if name == "affine" else (1, 64))
    torch.manual_seed(3)
    whole = affine(DIGITS)
    parts = []
    for rank in range(2):
        world = World(rank, 2)
        torch.manual_seed(3)
        with world.sharing(len(DIGITS)):
            parts.append(affine(DIGITS[world.part(len(DIGITS))]))
    assert torch.allclose(torch.cat(parts), whole, atol=1e-6, equal_nan=True)


def test_a_copy_of_a_signal_is_moved_and_scaled_whole(monkeypatch):
    x = torch.randn(1, 3, 20, dtype=torch.float64)
    monkeypatch.setattr(
        augment, "draw_rows", lambda size, draw: torch.tensor([1.0, -0.5, *[0.0] * 18])[: size[-1]].expand(size)
    )
    copy = Shift((3, 20), shift=0.1, scale=0.2, noise=0.0)(x.flatten(1)).view(3, 20)
    mean = x[0].mean(1, keepdim=True)
    expected = mean + (x[0] - mean) * np.exp(-0.1)
    torch.testing.assert_close(copy[:, :-2], expected[:, 2:])
    torch.testing.assert_close(copy[:, -2:], expected[:, -1:].expand(-1, 2))


def test_a_rolled_copy_of_a_signal_has_all_of_it_in_its_order():
    x = torch.randn(200, 2, 7, dtype=torch.float64)
    copies = Roll((2, 7), scale=0.0, noise=0.0)(x.flatten(1)).view(200, 2, 7)
    moved = [[torch.allclose(row.roll(-k, 1), copy) for k in range(7)] for row, copy in zip(x, copies, strict=True)]
    assert all(sum(row) == 1 for row in moved)
    assert np.bincount(np.argmax(moved, 1), minlength=7).min() > 10  # any place as often as another
    assert Roll((2, 7)).times(2.0) == Roll((2, 7), 0.5, 0.2, 0.1)


def test_copies_of_signals_keep_channels_apart_and_gaps():
    x = torch.randn(8, 2, 30)
    x[:, 1] = 7.0
    x[3, 0, 20:] = np.nan
    copies = Shift((2, 30))(x.flatten(1)).view(8, 2, 30)
    assert torch.equal(copies[:, 1], x[:, 1])  # no spread, no noise, nothing of the other sensor
    assert not torch.allclose(copies[0, 0], x[0, 0])
    assert 8 <= int(copies[3].isnan().sum()) <= 12
    assert int(copies.isnan().sum()) == int(copies[3].isnan().sum())
    assert Shift((2, 30)).times(2.0) == Shift((2, 30), 0.1, 0.2, 0.1)


@pytest.mark.parametrize("name", AUGMENTS)
def test_copies_of_a_seed_are_the_same_whatever_torch_was_seeded_with(name):
    make = AUGMENTS[name]((1, 8, 8) if name == "affine" else (1, 64))
    copies = []
    for other in (1, 2):
        torch.manual_seed(other)
        with seeded(0):
            copies.append(make(DIGITS))
    torch.testing.assert_close(*copies, rtol=0, atol=0, equal_nan=True)


def test_copies_of_a_table_lack_any_number_of_their_cells_as_often():
    rows = torch.arange(40_000.0).view(4_000, 10)
    copies = Hide((10,))(rows.long())
    hidden = copies.isnan()
    assert torch.equal(copies[~hidden], rows[~hidden])
    counts = torch.bincount(hidden.sum(1), minlength=11) / len(rows)
    np.testing.assert_allclose(counts, 1 / 11, atol=0.02)
    np.testing.assert_allclose(hidden.double().mean(0), 0.5, atol=0.03)
