"""Figures: they hold the given data, and are written as asked."""

from __future__ import annotations

import warnings
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import StepPatch
from PIL import Image

from cpvae.errors import InputError
from cpvae.study import figures
from cpvae.study.figures.signals import CHANNELS


def history(valid: list[float], beta: list[float] | None = None) -> list[dict[str, float]]:
    beta = beta or [1.0] * len(valid)
    return [
        {
            "epoch": i + 1,
            "train_negative_elbo": v - 1,
            "valid_negative_elbo": v,
            "kl_c": 0.5 * i,
            "kl_z": 2.0 * i,
            "components_used": 3,
            "beta": b,
        }
        for i, (v, b) in enumerate(zip(valid, beta, strict=True))
    ]


def lines(figure: figures.Figure) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_ydata()) for ax in figure.axes for line in ax.get_lines()}


def texts(figure: figures.Figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


# -- images


def test_pixels_scale_black_to_white() -> None:
    images = np.array([[[0.0, 0.5], [1.0, 0.25]]])
    assert figures.pixels(images).tolist() == [[[0, 128], [255, 64]]]
    assert figures.pixels(images * 255).tolist() == [[[0, 128], [255, 64]]]
    assert figures.pixels(images, (0.0, 2.0)).max() == 128
    assert figures.pixels(np.full((1, 2, 2), 0.0)).tolist() == [[[0, 0], [0, 0]]]
    assert figures.pixels(np.ones((1, 1, 2, 2), np.uint8)).max() == 1  # bytes are of 255 even if all are small


def test_pixels_know_colours() -> None:
    red = np.zeros((1, 3, 2, 2))
    red[:, 0] = 1
    assert figures.pixels(red)[0, 0, 0].tolist() == [255, 0, 0]
    assert figures.pixels(np.ones((1, 2, 2, 2))).shape == (1, 2, 2)
    with pytest.raises(InputError, match=r"images of shape \(3, 4\): expected \(n, height, width\)"):
        figures.pixels(np.zeros((3, 4)))


@pytest.mark.parametrize("shape", [(5, 6, 4), (5, 1, 6, 4), (5, 3, 6, 4)])
def test_image_grid_places_every_image(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = np.zeros(shape)
    for i in range(5):
        images[i] = (i + 1) / 5
    sheet = np.asarray(figures.image_grid(images, 3).axes[0].get_images()[0].get_array())
    assert sheet.shape == (2 * 6 + 3, 3 * 4 + 4, 3)
    for i in range(5):
        top, left = 1 + (i // 3) * 7, 1 + (i % 3) * 5
        assert np.all(sheet[top : top + 6, left : left + 4] == 51 * (i + 1))
    assert np.all(sheet[8:14, 11:15] == 255)  # the sixth place is empty


def test_image_grid_is_not_blurred(tmp_path: Path) -> None:
    images = np.random.RandomState(0).randint(0, 2, (6, 8, 8)).astype(float)
    figure = figures.image_grid(images, 3)
    figures.save(figure, tmp_path / "grid.png")
    written = np.asarray(Image.open(tmp_path / "grid.png").convert("L"))
    sheet = np.asarray(figure.axes[0].get_images()[0].get_array())[..., 0]
    zoom = written.shape[0] // sheet.shape[0]
    assert zoom == 8
    assert np.array_equal(written, np.kron(sheet, np.ones((zoom, zoom), np.uint8)))


def test_no_images() -> None:
    with pytest.raises(InputError, match="0 images in 3 columns: expected at least one of each"):
        figures.image_grid(np.zeros((0, 2, 2)), 3)
    with pytest.raises(InputError, match="with 1 titles"):
        figures.samples_by_category(np.zeros((2, 3, 4, 4)), ["a"])


def test_samples_by_category_has_a_titled_line_each() -> None:
    images = np.zeros((3, 2, 1, 4, 4))
    images[1] = 1
    figure = figures.samples_by_category(images, ["0", "1 <b>", "$2"])
    (axes,) = figure.axes
    sheet = np.asarray(axes.get_images()[0].get_array())
    assert sheet.shape == (3 * 4 + 2, 2 * 4 + 1, 3)
    assert np.all(sheet[5:9, :4] == 255)
    assert np.all(sheet[:4, :4] == 0)
    assert texts(figure) == ["0", "1 <b>", "$2"]
    assert [text.get_position()[1] for text in axes.texts] == [1.5, 6.5, 11.5]


# -- tables


def test_profiles_by_name() -> None:
    rows = np.arange(22.0).reshape(11, 2)
    figure = figures.profiles({"rows": rows, "new": rows + 1, "none": rows[:0]}, ["a", "b" * 40])
    (axes,) = figure.axes
    means = {str(line.get_label()): np.asarray(line.get_xdata()) for line in axes.get_lines()}
    assert means["rows"].tolist() == [10.0, 11.0]
    assert means["new"].tolist() == [11.0, 12.0]
    assert "none" not in means
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a", "b" * 27 + "…"]
    low, high = axes.collections[0].get_segments()[0][:, 0]
    assert (low, high) == (2.0, 18.0)  # 10 % and 90 % of 0, 2, ..., 20


def test_signals_have_a_panel_for_each_channel() -> None:
    rows = np.random.RandomState(0).normal(size=(50, 3, 64))
    figure = figures.signals({"rows": rows, "new": rows + 1, "none": rows[:0]})
    assert [axes.get_ylabel() for axes in figure.axes] == ["channel 0", "channel 1", "channel 2"]
    for channel, axes in enumerate(figure.axes):
        drawn = {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.get_lines()}
        assert np.allclose(drawn["rows, mean and 10-90 %"], rows[:, channel].mean(0))
        assert len(drawn) == 2
    assert len(figures.signals({"a": np.zeros((2, 40, 5))}).axes) == CHANNELS
    assert len(figures.svg(figures.signals({"a": np.tile(rows[:, :1], 32)}))) < 100_000


def test_examples_lie_over_mean_and_spread() -> None:
    rows = np.random.RandomState(0).normal(size=(50, 3, 64))
    groups = {"typical rows": rows[:2], "on the border": rows[:0]}
    figure = figures.examples(groups, rows.mean(0), rows.std(0))
    assert len(figure.axes) == 3
    assert np.array_equal(figure.axes[2].lines[1].get_ydata(), rows[1, 2])
    band = figure.axes[0].collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx((rows.mean(0) + rows.std(0))[0].max())


def test_overlays() -> None:
    original = np.arange(15.0).reshape(5, 3)
    figure = figures.overlays(original, -original, [f"row {i}" for i in range(5)])
    panels = [axes for axes in figure.axes if axes.lines]
    assert [axes.get_title("left") for axes in panels] == [f"row {i}" for i in range(5)]
    assert np.array_equal(panels[3].lines[0].get_ydata(), original[3])
    assert np.array_equal(panels[3].lines[1].get_ydata(), -original[3])


def test_histograms_are_densities_on_common_bins() -> None:
    random = np.random.RandomState(0)
    figure = figures.histograms(random.normal(size=500), {"a": random.normal(2, 1, 300), "b": np.zeros(0)}, bins=20)
    assert len(figure.axes) == 2
    steps = [patch for axes in figure.axes for patch in axes.patches if isinstance(patch, StepPatch)]
    assert len(steps) == 3  # the data twice, one of two samples
    edges = steps[0].get_data().edges
    for step in steps:
        assert np.array_equal(step.get_data().edges, edges)
        assert np.sum(step.get_data().values * np.diff(edges)) == pytest.approx(1)


def test_histograms_show_a_wider_range_if_asked() -> None:
    figure = figures.histograms(np.zeros(3), {"a": np.ones(2)}, limits=(-5.0, 5.0))
    edges = figure.axes[0].patches[0].get_data().edges  # type: ignore[attr-defined]
    assert (edges[0], edges[-1]) == (-5.0, 5.0)


# -- the latent space


def test_latent_map_holds_every_point_in_its_colour() -> None:
    points = np.random.RandomState(0).normal(size=(60, 2))
    categories = np.arange(60) % 12
    figure = figures.latent_map(points, categories)
    collections = figure.axes[0].collections
    assert sum(len(c.get_offsets()) for c in collections) == 60
    assert len(collections) == 2  # categories 10 and 11 have the second marker
    second = np.asarray(collections[1].get_offsets())
    assert np.allclose(second, points[categories >= 10])
    assert to_hex(collections[1].get_facecolors()[0]) == figures.style.COLOURS[0]
    assert texts(figure) == [str(k) for k in range(12)]
    at = figure.axes[0].texts[3].get_position()
    assert np.allclose(at, np.median(points[categories == 3], axis=0))


def test_latent_map_of_500_categories_is_not_covered_by_numbers() -> None:
    figure = figures.latent_map(np.random.RandomState(0).normal(size=(1000, 2)), np.arange(1000) % 500)
    assert texts(figure) == []
    assert len({figures.look(k) for k in range(70)}) == 70
    assert len(figures.svg(figure)) < 400_000


def test_latent_map_without_categories() -> None:
    figure = figures.latent_map(np.zeros((5, 2)))
    assert len(figure.axes[0].collections[0].get_offsets()) == 5
    assert texts(figure) == []


# -- training


def test_bound_curves_show_history_warmup_and_kept_epoch() -> None:
    valid = [500.0, 90.0, 80.0, 75.0, 74.0, 73.0]
    figure = figures.bound_curves(history(valid, [0.25, 0.75, 1, 1, 1, 1]), best_epoch=6)
    drawn = lines(figure)
    assert drawn["validation rows"].tolist() == valid
    assert drawn["training rows"].tolist() == [v - 1 for v in valid]
    assert drawn["kept"].tolist() == [73.0]
    (axes,) = figure.axes
    shade = axes.patches[0]
    assert (shade.get_x(), shade.get_x() + shade.get_width()) == (0.5, 2.5)  # type: ignore[attr-defined]
    low, high = axes.get_ylim()
    assert 65 < low < 72
    assert 80 < high < 90  # the epochs of the warm-up do not set the scale
    assert texts(figure) == [" ↑ 2 early epochs above"]


def test_bound_curves_of_few_epochs_hide_nothing() -> None:
    for valid in ([5.0], [300.0, 5.0], [5.0, 5.0, 5.0]):
        figure = figures.bound_curves(history(valid))
        low, high = figure.axes[0].get_ylim()
        assert low < min(valid) - 1
        assert high > max(valid)
        assert texts(figure) == []
        assert not figure.axes[0].patches


def test_kl_curves() -> None:
    figure = figures.kl_curves(history([3.0, 2.0, 1.0]), n_components=10)
    assert [axes.get_title("left") for axes in figure.axes] == [
        "KL(z), nats a row",
        "KL(c), nats a row",
        "categories in use",
    ]
    assert figure.axes[1].lines[0].get_ydata().tolist() == [0.0, 0.5, 1.0]  # type: ignore[union-attr]
    assert texts(figure) == ["log 10", "all 10"]
    assert len(figures.kl_curves(history([3.0, 2.0])).axes) == 1


# -- files


@pytest.mark.parametrize(
    ("suffix", "start"), [(".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF"), (".PNG", b"\x89PNG")]
)
def test_save_writes_the_same_file_twice(suffix: str, start: bytes, tmp_path: Path) -> None:
    for name in ("a", "b"):
        figures.save(figures.bound_curves(history([3.0, 2.0])), tmp_path / f"{name}{suffix}")
    content = (tmp_path / f"a{suffix}").read_bytes()
    assert content.startswith(start)
    assert content == (tmp_path / f"b{suffix}").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_reliability_has_a_line_for_each_fit_beside_the_diagonal() -> None:
    bins = (np.array([3, 50, 900]), np.array([0.5, 0.6, 0.99]), np.array([0.0, 0.4, 0.98]))
    above, below = figures.reliability([bins, bins, bins], "digits").axes
    assert len(above.lines) == 4
    np.testing.assert_array_equal(above.lines[1].get_xydata(), [[0.6, 0.4], [0.99, 0.98]])
    np.testing.assert_array_equal(below.lines[0].get_ydata(), [3, 50, 900])
    assert len(above.get_legend().get_texts()) == 2


def test_save_refuses_what_is_no_picture(tmp_path: Path) -> None:
    figure = figures.latent_map(np.zeros((5, 2)))
    with pytest.raises(InputError, match=r"a\.gif: suffix '\.gif' is no kind of picture; use \.png, \.svg, \.pdf"):
        figures.save(figure, tmp_path / "a.gif")
    with pytest.raises(InputError, match="cannot write"):
        figures.save(figure, Path("/proc/none/a.png"))
    assert not list(tmp_path.iterdir())


def test_svg_takes_colours_from_the_page_and_nothing_from_outside() -> None:
    names = ["<script>alert(1)</script>", "a & b", "$x_{", "漢字", "\x1b[2J\x00\u202e"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = figures.svg(figures.profiles({"rows": np.random.RandomState(0).normal(size=(9, 5))}, names))
    assert text.startswith("<svg")
    assert "http" not in text
    assert "<script" not in text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "a &amp; b" in text
    assert "$x_{" in text
    assert "漢字" in text
    assert r"\x1b[2J\x00\u202e" in text
    assert "var(--ink)" in text
    assert figures.INK not in text


def test_settings_of_the_caller_are_left_alone(tmp_path: Path) -> None:
    before = dict(mpl.rcParams)
    figures.save(figures.image_grid(np.zeros((2, 3, 3)), 2), tmp_path / "a.png")
    assert dict(mpl.rcParams) == before
