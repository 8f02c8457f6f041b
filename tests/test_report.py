"""The page of a fitted model: complete, self-contained, escaped, and right about what it says."""

from __future__ import annotations

import base64
import io
import re
import warnings
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from cpvae.data.loaders import Dataset, Split, load
from cpvae.errors import FitWarning, InputError
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.zoo import CPVAE, VAE
from cpvae.fitting import runs
from cpvae.probability.estimates import components_used, standard_error
from cpvae.study import findings
from cpvae.study.evaluation import Measured, measure
from cpvae.study.found import what_was_found
from cpvae.study.report.categories import category
from cpvae.study.report.page import render, write_report
from cpvae.study.report.shown import categories_to_draw, look_at
from cpvae.study.report.words import reliance
from cpvae.words.examples import nearest_rows, typical_rows
from cpvae.words.phrases import shares

SMALL: dict[str, Any] = {"latent_dim": 3, "hidden": (16,), "max_epochs": 2, "random_state": 0}
VOID = {"meta", "img", "link", "br", "hr", "input"}
EVIL = "<script>alert('x')</script>"


class Page(HTMLParser):
    """A page as a browser reads it: balanced tags, attributes, text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def having(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def quiet(model: DeepMixture, X: Any) -> Any:
    """Fit without warnings: tiny models may collapse, and these tests do not mind."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        return model.fit(X)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    split = load("digits").splits["test"]
    assert split.y is not None
    return split.x, split.y


@pytest.fixture(scope="module")
def digits_model(digits: tuple[np.ndarray, np.ndarray]) -> CPVAE:
    """Train until at least half of the categories hold rows."""
    more = {"max_epochs": 15, "learning_rate": 3e-3, "batch_size": 20, "warmup_epochs": 0, "init": "random"}
    return quiet(CPVAE(4, **SMALL | more), digits[0])


@pytest.fixture(scope="module")
def table() -> tuple[pd.DataFrame, np.ndarray]:
    random = np.random.RandomState(0)
    labels = np.repeat([0, 1, 2], 60)
    x = random.normal(size=(180, 4)) + 4 * labels[:, None]
    return pd.DataFrame(x, columns=["length", EVIL, "a & b", "$x_{"]), labels


@pytest.fixture(scope="module")
def table_model(table: tuple[pd.DataFrame, np.ndarray]) -> CPVAE:
    return quiet(CPVAE(3, **SMALL | {"max_epochs": 20}), table[0])


def check_page(text: str) -> Page:
    """Check the properties of every page."""
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert "http:" not in text
    assert "https:" not in text
    for name, attrs in page.tags:
        assert name not in {"script", "link", "iframe", "object"}
        for key, value in attrs.items():
            assert not key.startswith("on")
            if key in {"src", "href"}:
                assert value is not None
                assert value.startswith(("data:image/", "#"))
    assert "url(" not in re.sub(r"url\(#\w+\)", "", text)
    assert all(image.get("alt") for image in page.having("img"))
    assert all(figure.get("aria-label") for figure in page.having("figure"))
    assert all(head.get("scope") for head in page.having("th"))
    assert len(page.having("caption")) == len(page.having("table"))
    ids = {str(attrs["id"]) for _, attrs in page.tags if "id" in attrs}
    used = set(re.findall(r"url\(#(\w+)\)|href=\"#(\w+)\"", text))
    assert {a or b for a, b in used} <= ids
    return page


# -- pages


def test_page_of_images(digits_model: CPVAE, digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    x, y = digits
    path = write_report(digits_model, x, labels=y, data_name="digits", rows_name="test", path=tmp_path / "r.html")
    assert path == tmp_path / "r.html"
    page = check_page(path.read_text())
    assert "Measured on 360 test rows" in page.text
    evaluation = digits_model.evaluate(x)
    se = standard_error(evaluation.elbo)
    assert f"{-evaluation.elbo.mean(dtype=np.float64):,.2f} ± {se:.2f}" in page.text
    for word in ("tight bound", "KL(c)", "KL(z)", "mutual information", "entropy of q(c)", "accuracy", "NMI", "ARI"):
        assert word in page.text
    assert "15 epochs in" in page.text
    assert "To go on" not in page.text  # no run is known
    largest = int(np.argmax(digits_model.weights_))
    assert f"Category {largest}: {findings.percent(digits_model.weights_[largest])}" in page.text


def test_the_page_is_the_same_each_time(digits_model: CPVAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    pages = {render(digits_model, digits[0], data_name="d", labels=digits[1]) for _ in range(2)}
    assert len(pages) == 1


def test_images_on_the_page_are_the_rows(digits_model: CPVAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    page = check_page(render(digits_model, digits[0], data_name="digits"))
    seen = 0
    for image in page.having("img"):
        found = re.fullmatch(r"row (\d+)", str(image["alt"]))
        if found:
            content = base64.b64decode(str(image["src"]).split(",")[1])
            drawn = np.asarray(Image.open(io.BytesIO(content)))
            assert np.array_equal(drawn, (digits[0][int(found[1]), 0] * 255).round())
            seen += 1
    assert seen >= 8 + 8  # nearest rows, and those reconstructed


def test_page_of_a_table_escapes_everything(table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray]) -> None:
    frame, y = table
    labels = np.array([EVIL, "b & c", "</td>"])[y]
    text = render(table_model, frame, data_name=EVIL, labels=labels, rows_name=EVIL, run=f"/tmp/{EVIL} x")
    page = check_page(text)
    assert "<script" not in text
    assert page.text.count(EVIL) > 5
    assert "label </td>" in page.text
    assert f"{frame['length'].mean():.4g}" in page.text
    assert "'/tmp/<script>alert('\"'\"'x'\"'\"')</script> x'" in page.text  # quoted for the shell


def test_page_of_one_column() -> None:
    x = np.concatenate([np.random.RandomState(0).normal(m, 0.1, 100) for m in (0, 3)])[:, None]
    model = quiet(CPVAE(2, **SMALL | {"latent_dim": 1}), x)
    page = check_page(render(model, x, data_name="one", feature_names=["height"]))
    assert "height" in page.text
    assert "one line for each category" in page.text


@pytest.mark.parametrize("features", [1, 5, 40, 400])
def test_page_of_a_plain_vae_of_tables(features: int) -> None:
    x = np.random.RandomState(0).normal(size=(60, features))
    page = check_page(render(quiet(VAE(**SMALL), x), x, data_name="noise", labels=np.zeros(60)))
    assert "The model has no categories" in page.text
    for word in ("Category", "accuracy", "KL(c)", "entropy"):
        assert word not in page.text
    assert "Reconstructions" in page.text


def test_page_of_a_plain_vae_of_images(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model = quiet(VAE(**SMALL | {"latent_dim": 1}), digits[0])
    page = check_page(render(model, digits[0], data_name="digits"))
    assert "Map of the code" not in page.text
    alts = [str(image["alt"]) for image in page.having("img")]
    assert sum(alt.startswith("reconstruction of row") for alt in alts) == 8
    assert sum(alt.startswith("new image") for alt in alts) == 32


def test_page_of_colour_images() -> None:
    x = np.random.RandomState(0).rand(30, 3, 120, 100)
    page = check_page(text := render(quiet(VAE(**SMALL), x), x, data_name="colour"))
    sizes = [
        Image.open(io.BytesIO(base64.b64decode(str(image["src"]).split(",")[1]))).size for image in page.having("img")
    ]
    assert set(sizes) == {(80, 96)}
    assert len(text) < 1_000_000
    assert "3 channels" in page.text


def test_page_of_one_category(digits: tuple[np.ndarray, np.ndarray]) -> None:
    model = quiet(CPVAE(1, **SMALL), digits[0][:50])
    assert "There is a single category" in check_page(render(model, digits[0][:50], data_name="d")).text


def test_page_of_150_categories_stays_short(digits: tuple[np.ndarray, np.ndarray]) -> None:
    x = np.concatenate([digits[0], 1 - digits[0]])
    model = quiet(CPVAE(150, **SMALL, init="random"), x)
    model.model_.prior.aggregated.copy_(torch.full((150,), 1 / 150))
    model._set_model(model.model_)
    shown = look_at(model, x[:140], None, None, 5000)  # fewer rows than categories
    assert len(categories_to_draw(model.weights_, np.bincount(shown.categories, minlength=150))) == 30
    text = render(model, x[:140], data_name="digits")
    page = check_page(text)
    assert len(page.having("article")) == 30
    assert "The 30 largest are shown; 120 more in use, 80 % of the training rows, are left out." in page.text
    assert len(text) < 600_000


@pytest.mark.usefixtures("undrawn")
def test_large_data_are_sampled(table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray]) -> None:
    page = check_page(render(table_model, table[0], data_name="t", max_rows=50))
    assert "Measured on 50 of 180 rows, drawn at random." in page.text
    shown = look_at(table_model, table[0], table[1], None, 50)
    assert len(np.unique(shown.index)) == 50
    assert np.allclose(shown.values, table[0].to_numpy()[shown.index])
    assert shown.labels is not None
    assert np.array_equal(shown.labels, table[1][shown.index].astype(str))


def test_arrays_for_a_model_fitted_with_names_and_the_reverse(
    table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray]
) -> None:
    assert look_at(table_model, table[0].to_numpy(), None, None, 9).names == list(table[0].columns)
    nameless = quiet(VAE(**SMALL), table[0].to_numpy())
    assert look_at(nameless, table[0], None, None, 9).names[1] == "column 1"
    assert look_at(nameless, table[0], None, list("abcd"), 9).names == list("abcd")


def test_bad_input(table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray], tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"labels of shape \(3,\) for 180 rows: expected \(180,\)"):
        render(table_model, table[0], data_name="t", labels=[1, 2, 3])
    with pytest.raises(InputError, match=r"rows of 2 columns; expected 4, as the model was fitted on"):
        render(table_model, np.zeros((5, 2)), data_name="t")
    with pytest.raises(InputError, match="cannot write"):
        write_report(table_model, table[0], data_name="t", path="/proc/none/report.html")


@pytest.mark.usefixtures("undrawn")
def test_measurements_are_not_taken_for_labels(table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray]) -> None:
    page = render(table_model, table[0], data_name="t", labels=np.random.RandomState(0).rand(180))
    assert "accuracy" not in page


def test_commands_of_a_run(digits: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    run = tmp_path / "my run"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FitWarning)
        model = CPVAE(3, **SMALL, init="random").fit(digits[0], out=run, about={"source": "digits"})
    config = runs.read_config(run)
    path = write_report(model, digits[0], data_name="digits", config=config, path=run / "report.html")
    page = check_page(path.read_text())
    assert f"cpvae sample '{run}' --component {model.weights_.argmax()} -n 64 --out new.png" in page.text
    assert f"cpvae cluster '{run}' digits --out labels.csv" in page.text
    assert "360" in page.text


# -- what it says


def test_nearest_rows_are_nearest(digits_model: CPVAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    x = digits[0]
    z, categories = digits_model.transform(x), digits_model.predict(x)
    k = int(np.bincount(categories).argmax())
    near = nearest_rows(z, categories, k, digits_model.means_[k], digits_model.scales_[k], 8)
    distance = (((z - digits_model.means_[k]) / digits_model.scales_[k]) ** 2).sum(1)
    assert np.all(categories[near] == k)
    assert np.all(np.diff(distance[near]) >= 0)
    others = np.setdiff1d(np.flatnonzero(categories == k), near)
    assert distance[others].min() >= distance[near].max()
    shown = look_at(digits_model, x, None, None, 5000)
    drawn = category(digits_model, shown, k)
    parts = digits_model.means_[k], digits_model.scales_[k], 8
    assert drawn.nearest == typical_rows(z, digits_model.predict_proba(x), k, *parts).tolist()
    mean, spread = (_decoded(one.source) for one in drawn.summary_pictures)
    own = x[categories == k].reshape(-1, 8, 8)
    np.testing.assert_allclose(mean, own.mean(0) * 255, atol=1)
    np.testing.assert_allclose(spread, np.clip(own.std(0) * 2 * 255, 0, 255), atol=1)
    assert shown.description is not None
    assert [one.alt for one in drawn.border_pictures] == [f"row {one}" for one in shown.description[k].border]


def _decoded(source: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))).convert("L"), np.float64)


def test_the_scale_of_a_category_counts() -> None:
    z = np.array([[3.0, 0.0], [0.0, 2.0], [0.0, 0.0]])
    near = nearest_rows(z, np.array([1, 1, 0]), 1, np.zeros(2), np.array([10.0, 1.0]), 5)
    assert near.tolist() == [0, 1]


def test_categories_to_draw() -> None:
    weights, counts = np.array([0.2, 0.005, 0.5, 0.295]), np.array([3, 5, 6, 0])
    assert categories_to_draw(weights, counts).tolist() == [2, 0]
    assert categories_to_draw(weights, np.zeros(4, int)).tolist() == [2, 3, 0]  # no rows to tell by
    assert categories_to_draw(weights, counts, most=1).tolist() == [2]


# -- warnings


def history(valid: list[float], train: list[float] | None = None, beta: float = 1.0) -> list[dict[str, Any]]:
    train = train or valid
    return [
        {"epoch": i + 1, "valid_negative_elbo": v, "train_negative_elbo": t, "beta": beta, "components_used": 3}
        for i, (v, t) in enumerate(zip(valid, train, strict=True))
    ]


def test_collapse() -> None:
    found = findings.collapse(4, 10)
    assert found is not None
    assert found.title == "Only 4 of 10 categories are in use"
    assert "n_init=5" in found.action
    assert findings.collapse(5, 10) is None


def test_vague_categories() -> None:
    assert findings.vague(0.1, 10) is not None
    assert findings.vague(0.5, 10) is None


def test_small_categories() -> None:
    found = findings.small_categories(np.array([0.6, 0.395, 0.005]))
    assert found is not None
    assert found.title == "1 category is hardly used: 2"
    assert "theirs" not in found.text
    assert "them" not in found.action
    assert findings.small_categories(np.array([0.5, 0.3, 0.2])) is None


def test_confused_categories() -> None:
    proba = np.array([[0.6, 0.4, 0.0]] * 6 + [[0.1, 0.9, 0.0]] * 6 + [[0.0, 0.0, 1.0]] * 6)
    found = findings.confused(proba, proba.argmax(1))
    assert found is not None
    assert found.title == "Hard to tell apart: categories 0 and 1"
    assert findings.confused(proba[6:], proba[6:].argmax(1)) is None
    assert findings.confused(proba[:4], proba[:4].argmax(1)) is None  # too few rows to say


def test_not_finite() -> None:
    found = findings.not_finite("not_finite", 3)
    assert found is not None
    assert "epoch 3" in found.text
    assert findings.not_finite("early_stopping", 3) is None


def test_still_falling() -> None:
    falling = [100.0, 90, 80, 70, 60, 50, 40, 30, 20, 10]
    settled = [100.0, 50, 30, 20, 15, 12, 11, 10.5, 10.3, 10.29]
    found = findings.still_falling(history(falling), "max_epochs")
    assert found is not None
    assert "The last 2 of 10 epochs improved it by 20.00 nats." in found.text
    assert findings.still_falling(history(falling), "early_stopping") is None
    assert findings.still_falling(history(settled), "max_epochs") is None
    assert findings.still_falling([], "not_finite") is None
    single = findings.still_falling(history([3.0]), "max_epochs")
    assert single is not None
    assert "single epoch" in single.title


def test_overfits() -> None:
    found = findings.overfits(history([100.0], [96.0]), 1, scale=100.0)
    assert found is not None
    assert "4.00 nats" in found.text
    assert findings.overfits(history([100.0], [98.0]), 1, 100.0) is None
    assert findings.overfits(history([100.0, 100.0], [98.0, 50.0]), 1, 100.0) is None  # the epoch kept counts
    assert findings.overfits([], 0, 100.0) is None


def test_a_density_is_measured_against_a_plain_gaussian_not_against_itself() -> None:
    near_zero = history([0.01])
    assert findings.bound_scale(False, 4, near_zero) == pytest.approx(4 * 1.4189385)
    assert findings.bound_scale(True, 4, history([-80.0])) == 80.0


def test_warmup() -> None:
    assert findings.in_warmup(history([3.0], beta=0.5)) is not None
    assert findings.in_warmup(history([3.0])) is None
    assert findings.in_warmup([]) is None


def test_other_rows() -> None:
    past = history([100.0])
    assert findings.other_rows(np.array([120.0, 121.0, 119.0]), past, 1, 100.0) is not None
    assert findings.other_rows(np.array([105.0, 106.0, 104.0]), past, 1, 100.0) is None
    assert findings.other_rows(np.array([20.0, 230.0]), past, 1, 100.0) is None  # may be chance


def test_copies() -> None:
    x = np.random.RandomState(0).normal(size=(20, 4))
    assert findings.copies(x) is None
    found = findings.copies(np.concatenate([x, x]))
    assert found is not None
    assert found.title == "50 % of the rows are copies of another row"
    assert findings.copies(np.zeros((20, 2))) is None  # of few columns it says nothing


def titles(model: DeepMixture, x: Any) -> list[str]:
    shown = look_at(model, x, None, None, 5000)
    return [finding.title for finding in findings.findings(model, shown.evaluation, shown.values)]


def test_findings_of_a_fit(table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray]) -> None:
    before = titles(table_model, table[0])
    assert not any("unlike" in title or "relaxed" in title or "not a bound" in title for title in before)
    assert "These rows are unlike those the model was fitted on" in titles(table_model, table[0] + 100)


@pytest.mark.usefixtures("undrawn")
def test_relaxed_objective_is_said_not_to_be_a_bound(table: tuple[pd.DataFrame, np.ndarray]) -> None:
    model = quiet(CPVAE(3, **SMALL, expectation="relaxed", init="random"), table[0])
    assert "What was optimised is not a bound" in titles(model, table[0])
    assert "What was optimised is not a bound" in render(model, table[0], data_name="t")


def test_collapsed_model_is_warned_of(digits_model: CPVAE, digits: tuple[np.ndarray, np.ndarray]) -> None:
    model = quiet(CPVAE(10, **SMALL, init="random"), digits[0])
    with torch.no_grad():
        for parameter in model.model_.posterior.parameters():
            parameter.zero_()  # now all rows have the same q(c)
    model.history_ = [record | {"components_used": 1} for record in model.history_]
    assert "Only 1 of 10 categories are in use" in titles(model, digits[0])
    assert not any("are in use" in title for title in titles(digits_model, digits[0]))


# -- the numbers and columns of a table --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def people() -> tuple[pd.DataFrame, CPVAE]:
    random = np.random.RandomState(0)
    k = np.arange(120) % 2
    frame = pd.DataFrame(
        {
            "spend": random.normal(100 + 500 * k, 20).round(2),
            "born": 1950 + 30 * k + random.randint(0, 10, 120),
            "city": np.where(k == 0, "north", np.where(np.arange(120) == 1, "once", "south")),
        }
    )
    return frame, quiet(CPVAE(2, **SMALL | {"max_epochs": 20}), frame)


@pytest.mark.usefixtures("undrawn")
def test_shares_are_percent_and_years_are_whole(people: tuple[pd.DataFrame, CPVAE]) -> None:
    frame, model = people
    page = check_page(render(model, frame, data_name="people"))
    shown = look_at(model, frame, None, None, 5000)
    assert dict(zip(shown.names, shown.units, strict=True)) == {
        "spend": "number",
        "born": "year",
        "city=north": "share",
        "city=once": "share",
        "city=south": "share",
    }
    assert shown.sources == [0, 1, 2, 2, 2]
    assert shown.cells(shown.means)[1:4] == [str(round(frame["born"].mean())), "50 %", "0.8 %"]
    assert "1,9" not in page.text  # a year has no comma
    assert f"row 0 {frame['spend'][0]:.4g} {frame['born'][0]} north" in page.text


def test_what_a_category_stands_out_by_is_said_in_the_units_of_the_table(people: tuple[pd.DataFrame, CPVAE]) -> None:
    frame, model = people
    shown = look_at(model, frame, None, None, 5000)
    assert shown.categories is not None
    k = int(shown.categories[0])
    own = frame[shown.categories == k]
    others = frame[shown.categories != k]
    traits = category(model, shown, k).traits.split("; ")
    assert f"spend {own['spend'].mean():.3g} (others {others['spend'].mean():.3g})" in traits
    shares = [findings.percent((rows["city"] == "north").mean()) for rows in (own, others)]
    assert f"city north {shares[0]} (others {shares[1]})" in traits
    assert sum(trait.startswith("city ") for trait in traits) == 1  # by one level, not by all of them
    assert len(traits) == 3


@pytest.mark.usefixtures("undrawn")
def test_columns_are_a_curve_only_if_neighbours_are_alike() -> None:
    random = np.random.RandomState(0)
    time = np.linspace(0, 6, 60)
    waves = np.sin(time + 6 * random.rand(50, 1)) + 0.1 * random.normal(size=(50, 60))
    mixed = waves[:, random.permutation(60)]
    for x, curve in ((waves, True), (mixed, False)):
        model = quiet(CPVAE(2, **SMALL, init="random"), x)
        shown = look_at(model, x, None, None, 5000)
        assert shown.curve == ((1, 60) if curve else None)
        page = check_page(render(model, x, data_name="waves"))
        assert ("Neighbouring columns are alike" in page.text) == curve
        assert ("Drawn are the 8 of 60 columns that differ most." in page.text) != curve
        assert ("in the 12 of 60 columns that differ most" in page.text) != curve
    named = pd.DataFrame(waves, columns=[f"gene {i}" for i in range(60)])
    assert (
        look_at(quiet(VAE(**SMALL), named), named, None, None, 5000).curve is None
    )  # columns with names are no series


@pytest.mark.usefixtures("undrawn")
def test_words_come_before_numbers(table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray]) -> None:
    text = check_page(render(table_model, table[0], data_name="t", labels=table[1])).text
    assert text.index("categories are in use") < text.index("The categories in words") < text.index("nats a row")


def test_the_first_words_and_figures_count_the_categories_that_predict_gives(
    table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = table_model.evaluate(table[0])
    encoded = replace(found, q_c=np.eye(3)[np.zeros(len(table[0]), dtype=int)])  # as of an encoder that lags behind
    monkeypatch.setattr(type(table_model), "evaluate", lambda self, X: encoded)
    data = Dataset("t", {"all": Split(*table)}, None, None, "")
    assert measure(table_model, data).figures["components_used"] == components_used(found.rows_of_categories) > 1
    figures = {"n": 10, "split": "all", "negative_elbo": 1.0, "negative_elbo_se": 0.1, "components_used": 1}
    said = what_was_found(table_model, Measured(figures, encoded, learned=True))[0]
    counts = np.bincount(table_model.predict(table[0]), minlength=3)
    assert shares(counts / counts.sum(), components_used(counts)) in said


@pytest.mark.usefixtures("undrawn")
def test_the_first_screen_says_what_was_found_and_how_far_to_rely_on_it(
    table_model: CPVAE, table: tuple[pd.DataFrame, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = check_page(render(table_model, table[0], data_name="t")).text
    order = ["categories are in use", "Map of the code", "Can I rely on it?", "The categories in words", "New rows"]
    places = [text.index(one) for one in order]
    assert places == sorted(places)
    assert list(reliance(table_model, 0)) == [
        "This is one fit. Another seed may find other categories: --restarts 5 (n_init=5) makes five fits and says how "
        "far they agree.",
        "The fit passed every check of this page.",
    ]
    monkeypatch.setattr(table_model, "stability_", 0.875)
    assert next(reliance(table_model, 2)).startswith("1 restarts agree on the categories of validation rows to an adj")
    assert list(reliance(table_model, 2))[1] == "There are 2 things to watch out for, the gravest first:"


def test_page_of_signals_has_channels_over_time() -> None:
    random = np.random.RandomState(0)
    x = np.sin(np.linspace(0, 6, 40) + 6 * random.rand(60, 3, 1))
    model = quiet(CPVAE(2, **SMALL | {"max_epochs": 1}, init="random", kind="signals"), x)
    page = check_page(text := render(model, x, data_name="gait"))
    assert "signals of 3 channels and 40 time points" in page.text
    assert text.count("channel 2<") >= 4  # of each category, of its examples, and of new rows
    assert "mean ± spread" in text
    assert "time, one channel after the other" in page.text
    assert "columns that differ most" not in page.text
    x[0, 0, 3] = np.nan
    assert "channel 2<" in render(quiet(model, x), x, data_name="gait with a gap")
