"""The figures of generations against answers worked out by hand or in closed form."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.linalg import sqrtm
from sklearn.neighbors import NearestNeighbors

from cpvae import CPVAE, VAE, InputError
from cpvae.data.loaders import Dataset, Split
from cpvae.data.schema import Schema
from cpvae.study.judge import Judge, judge_for
from cpvae.study.judging import _with_gaps_of, judge_model
from cpvae.study.quality import (
    DISTANCE,
    bootstrap_se,
    class_coverage,
    class_entropy,
    frechet_distance,
    neighbourhoods,
    purity,
    purity_by_component,
    quality,
)

torch.set_num_threads(1)


# ---------------------------------------------------------------- purity and classes


def test_purity_by_hand():
    labels = [np.array(list("aaab")), np.array(list("bb")), np.array(list("abcde"))]
    assert purity_by_component(labels).tolist() == [0.75, 1.0, 0.2]
    assert purity(labels) == pytest.approx((0.75 + 1 + 0.2) / 3)
    assert purity(labels, np.array([2, 1, 1])) == pytest.approx((2 * 0.75 + 1 + 0.2) / 4)
    assert purity(labels, np.array([0.0, 1.0, 0.0])) == 1  # a component that is never drawn does not count


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [0.0, 0.0], [1.0, np.nan]])
def test_purity_refuses_weights_that_are_none(weights):
    with pytest.raises(InputError, match="for 2 components: expected one for each, finite, none negative, not all 0"):
        purity([np.array([1]), np.array([2])], np.array(weights))


@pytest.mark.parametrize("labels", [[], [np.array([1]), np.array([])]])
def test_purity_refuses_components_without_rows(labels):
    with pytest.raises(InputError, match="rows in the components: expected at least one in each"):
        purity(labels)


def test_class_coverage_by_hand():
    real = np.repeat([0, 1, 2, 3], [50, 30, 15, 5])
    generated = np.repeat([0, 1, 2, 9], [60, 34, 1, 5])  # 2: 1 % < 0.1 * 15 %; 9 is no class of the data
    found = class_coverage(real, generated)
    assert (found.covered, found.in_data) == (2, 4)
    p, q = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.6, 0.34, 0.01, 0.05])
    assert found.entropy_data == pytest.approx(-(p * np.log(p)).sum())
    assert found.entropy == pytest.approx(-(q * np.log(q)).sum())
    p, q = np.array([50.5, 30.5, 15.5, 5.5, 0.5]) / 102.5, np.array([60.5, 34.5, 1.5, 0.5, 5.5]) / 102.5
    assert found.kl == pytest.approx((p * np.log(p / q)).sum())


def test_a_class_is_covered_from_a_tenth_of_its_own_share():
    """With twice as many generated rows, and for a rare class as for a common one."""
    real = np.repeat([0, 1, 2], [800, 190, 10])
    assert class_coverage(real, np.repeat([0, 1, 2], [1960, 38, 2])).covered == 3
    assert class_coverage(real, np.repeat([0, 1, 2], [1961, 37, 2])).covered == 2
    assert class_coverage(real, np.repeat([0, 1, 2], [1961, 38, 1])).covered == 2


def test_real_rows_cover_themselves_however_rare_a_class():
    found = class_coverage(np.repeat(["a", "b"], [9999, 1]), np.repeat(["a", "b"], [9999, 1]))
    assert (found.covered, found.in_data, found.kl) == (2, 2, 0.0)


def test_class_coverage_needs_rows():
    with pytest.raises(InputError, match="0 real and 1 generated labels: expected some of both"):
        class_coverage(np.array([]), np.array([1]))


# ---------------------------------------------------------------- Fréchet distance


def exactly(n: int, loc: np.ndarray, covariance_root: np.ndarray, seed: int = 0) -> np.ndarray:
    """Draw n rows whose sample mean is exactly `loc` and whose sample covariance is exactly ``root' root``."""
    z = np.random.RandomState(seed).normal(size=(n, len(covariance_root)))
    q, _ = np.linalg.qr(z - z.mean(0))
    return q * (n - 1) ** 0.5 @ covariance_root + loc


def test_frechet_distance_of_given_moments_is_exact():
    """Covariances that commute: |m - m'|^2 + sum (s - s')^2."""
    s, t = np.array([1.0, 2.0, 0.5]), np.array([3.0, 2.0, 0.1])
    a, b = exactly(50, np.zeros(3), np.diag(s)), exactly(70, np.array([1.0, -2.0, 0.0]), np.diag(t), seed=1)
    assert frechet_distance(a, b) == pytest.approx(5 + ((s - t) ** 2).sum(), rel=1e-12)


def test_frechet_distance_agrees_with_the_root_of_the_matrix():
    """Covariances that do not commute, by scipy's general square root."""
    random = np.random.RandomState(0)
    a, b = random.normal(size=(200, 5)) @ random.normal(size=(5, 5)), random.normal(size=(90, 5)) + 0.3
    s, t = np.cov(a.T), np.cov(b.T)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-10)


def test_frechet_distance_of_samples_tends_to_that_of_their_distributions():
    random = np.random.RandomState(0)
    a, b = random.normal(0, 1, (100_000, 2)), random.normal(1, 3, (100_000, 2))
    assert frechet_distance(a, b) == pytest.approx(2 + 2 * 4, rel=0.02)


def test_frechet_distance_is_a_symmetric_distance_and_invariant_under_rotation_and_shift():
    random = np.random.RandomState(0)
    a, b = random.normal(size=(60, 6)), random.gamma(2, size=(80, 6))
    rotation, _ = np.linalg.qr(random.normal(size=(6, 6)))
    value = frechet_distance(a, b)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(a, random.permutation(a)) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(b, a) == pytest.approx(value, rel=1e-12)
    assert frechet_distance(a @ rotation + 7, b @ rotation + 7) == pytest.approx(value, rel=1e-12)
    assert frechet_distance(3 * a, 3 * b) == pytest.approx(9 * value, rel=1e-12)


def test_frechet_distance_with_dead_features_and_fewer_rows_than_features():
    """Singular covariances: exact where the plain formula takes roots of eigenvalues around zero."""
    s, t = np.array([1.0, 2.0]), np.array([3.0, 0.5])
    a, b = exactly(40, np.zeros(2), np.diag(s)), exactly(40, np.ones(2), np.diag(t), seed=1)
    rotation, _ = np.linalg.qr(np.random.RandomState(2).normal(size=(100, 100)))
    wide = [np.pad(x, ((0, 0), (0, 98))) @ rotation for x in (a, b)]
    assert frechet_distance(*wide) == pytest.approx(2 + 4 + 2.25, rel=1e-12)
    assert frechet_distance(wide[0], wide[0]) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(np.zeros((3, 4)), np.ones((3, 4))) == pytest.approx(4)


@pytest.mark.parametrize("shapes", [((5, 2), (5, 3)), ((1, 2), (5, 2)), ((5,), (5,))])
def test_frechet_distance_refuses_other_shapes(shapes):
    with pytest.raises(InputError, match=r"features of shapes .* at least two rows each; draw more"):
        frechet_distance(*(np.zeros(shape) for shape in shapes))


# ---------------------------------------------------------------- precision, recall, density, coverage


def figures(real: np.ndarray, generated: np.ndarray) -> dict[str, float]:
    return {name: float(rows.mean()) for name, rows in vars(neighbourhoods(real, generated)).items()}


def column(*values: float) -> np.ndarray:
    return np.array(values)[:, None]


def test_neighbourhoods_by_hand():
    """Balls of real rows: [-1, 1], [0, 2], [1, 5], [3, 11]; of generated rows: [-1, 2], [0.5, 9.5], [5, 35], ..."""
    real, generated = column(0, 1, 3, 7), column(0.5, 5, 20, -1)
    found = neighbourhoods(real, generated, k=1)
    assert found.precision.tolist() == [1, 1, 0, 1]
    assert found.density.tolist() == [2, 2, 0, 1]
    assert found.coverage.tolist() == [1, 1, 1, 1]
    assert found.recall.tolist() == [1, 1, 1, 1]
    # generated balls: [0.25, 0.75], [0.5, 1], [-2.5, 0.5]; nothing near 3 and 7
    found = neighbourhoods(real, column(0.5, 0.75, -1), k=1)
    assert found.precision.tolist() == [1, 1, 1]
    assert found.density.tolist() == [2, 2, 1]
    assert found.coverage.tolist() == [1, 1, 0, 0]
    assert found.recall.tolist() == [1, 1, 0, 0]
    # k = 2; real balls [-3, 3], [-1, 3], [0, 6], [1, 13]
    found = neighbourhoods(real, column(-2, 13, 14), k=2)
    assert found.density.tolist() == [0.5, 0.5, 0]
    assert found.coverage.tolist() == [1, 0, 0, 1]


def test_recall_and_coverage_differ():
    """One generated outlier with a huge ball recalls all real rows and covers none: Naeem's objection."""
    found = neighbourhoods(column(0, 1, 2), column(100, 300, 500), k=1)
    assert found.recall.tolist() == [1, 1, 1]
    assert found.coverage.tolist() == [0, 0, 0]


def test_rows_beside_themselves():
    """All are 1, but for the density: each row is in its own ball too."""
    x = np.random.RandomState(0).normal(size=(200, 8))
    expected = {"precision": 1, "recall": 1, "density": 6 / 5, "coverage": 1}
    assert figures(x, x) == pytest.approx(expected)
    twice = np.repeat(x[:20], 8, axis=0)  # more duplicates than k: balls of radius 0
    found = figures(twice, twice)
    assert (found["precision"], found["recall"], found["coverage"]) == (1, 1, 1)


def test_density_of_independent_rows_is_one_on_average(agree):
    random = np.random.RandomState(0)
    values = [neighbourhoods(*random.normal(size=(2, 60, 2)), k=3).density.mean() for _ in range(300)]
    agree(np.array(values), 1.0)


def test_neighbourhoods_agree_with_searches_by_scikit_learn(monkeypatch):
    """Other code, and many blocks of distances, on rows enough that no distance is a tie."""
    random = np.random.RandomState(0)
    real, generated = random.normal(size=(150, 4)), random.normal(0.5, 1.2, size=(110, 4))
    monkeypatch.setitem(DISTANCE, "working_memory", 0.01)  # MB: 8 rows at a time
    found = neighbourhoods(real, generated, k=4)
    reach = {}
    for name, x in (("real", real), ("generated", generated)):
        reach[name] = NearestNeighbors(n_neighbors=4).fit(x).kneighbors()[0][:, -1]
    distances = np.linalg.norm(generated[:, None] - real, axis=-1)
    np.testing.assert_array_equal(found.precision, (distances <= reach["real"]).any(1))
    np.testing.assert_array_equal(found.recall, (distances <= reach["generated"][:, None]).any(0))
    np.testing.assert_allclose(found.density, (distances <= reach["real"]).sum(1) / 4)
    np.testing.assert_array_equal(found.coverage, (distances.min(0) <= reach["real"]))


def two_modes(random: np.random.RandomState, n: int) -> np.ndarray:
    return random.normal(size=(n, 3)) + 50 * np.repeat([0, 1], n // 2)[:, None]


def test_a_dropped_mode_costs_recall_and_junk_costs_precision():
    random = np.random.RandomState(0)
    real, same = two_modes(random, 400), two_modes(random, 400)
    one = random.normal(size=(400, 3))
    junk = np.concatenate([same[::2], random.uniform(-500, 500, (200, 3))])
    full, dropped, spoilt = (figures(real, x) for x in (same, one, junk))
    assert min(full.values()) > 0.85
    assert dropped["precision"] > 0.85
    assert dropped["recall"] <= 0.5
    assert dropped["coverage"] <= 0.5
    assert spoilt["precision"] == pytest.approx(0.5, abs=0.05)
    assert spoilt["density"] < 0.6 * full["density"]
    assert spoilt["coverage"] > 0.7


def test_neighbourhoods_need_more_rows_than_k():
    with pytest.raises(InputError, match="5 real and 9 generated rows for k=5: expected more than k of each"):
        neighbourhoods(np.zeros((5, 2)), np.zeros((9, 2)))
    with pytest.raises(InputError, match=r"features of shapes \(9, 2\) and \(9, 3\)"):
        neighbourhoods(np.zeros((9, 2)), np.zeros((9, 3)))
    with pytest.raises(InputError, match="k=0: expected a whole number of at least 1"):
        neighbourhoods(np.zeros((9, 2)), np.zeros((9, 2)), k=0)


# ---------------------------------------------------------------- standard errors


def test_bootstrap_error_of_a_mean_is_the_analytic_one():
    """2,000 resamples are good to 1.6 %."""
    x = np.random.RandomState(0).gamma(2, size=150)
    assert bootstrap_se(np.mean, [x], n=2000) == pytest.approx(x.std() / 150**0.5, rel=0.06)


def test_bootstrap_resamples_each_set_on_its_own():
    """The error of a difference of means of independent sets; of one and the same resample it would be 0."""
    x = np.random.RandomState(0).normal(size=100)
    error = bootstrap_se(lambda a, b: float(a.mean() - b.mean()), [x, x], n=2000)
    assert error == pytest.approx(2**0.5 * x.std() / 10, rel=0.06)


def test_bootstrap_error_of_the_frechet_distance_is_that_of_fresh_samples():
    """Between N(0, I) and N(3, I), so far apart that the bias of either does not matter."""
    random = np.random.RandomState(0)
    fresh = [frechet_distance(random.normal(size=(300, 2)), random.normal(3, 1, (300, 2))) for _ in range(300)]
    a, b = random.normal(size=(300, 2)), random.normal(3, 1, (300, 2))
    assert bootstrap_se(frechet_distance, [a, b], n=300) == pytest.approx(np.std(fresh), rel=0.25)


def test_bootstrap_is_fixed_by_its_seed_and_refuses_nothing_to_resample():
    x = np.arange(10.0)
    assert bootstrap_se(np.mean, [x], seed=1) == bootstrap_se(np.mean, [x], seed=1)
    assert bootstrap_se(np.mean, [x], seed=1) != bootstrap_se(np.mean, [x], seed=2)
    with pytest.raises(InputError, match=r"sets of \[10, 1\] rows: expected at least two rows in each"):
        bootstrap_se(np.mean, [x, x[:1]])
    with pytest.raises(InputError, match="n=1: expected a whole number of at least 2"):
        bootstrap_se(np.mean, [x], n=1)


# ---------------------------------------------------------------- all of it


CENTRES = np.array([[0.0, 0.0], [20.0, 0.0], [0.0, 20.0], [20.0, 20.0]])


def rows_of(labels: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    return CENTRES[labels] + random.normal(size=(len(labels), 2))


@pytest.fixture(scope="module")
def data() -> Dataset:
    random = np.random.RandomState(0)
    splits = {}
    for name, n in (("train", 400), ("test", 300)):
        y = np.arange(n) % 4
        splits[name] = Split(rows_of(y, random), y)
    return Dataset("corners", splits, "gaussian", None, "")


@pytest.fixture(scope="module")
def judge(data: Dataset) -> Judge:
    return Judge.fit(data.splits["train"].x, data.splits["train"].y)


class Fake:
    """A generator that is known: component k draws classes by row k of a table."""

    has_components = True
    model_ = SimpleNamespace(likelihood=SimpleNamespace(varies=False))

    def __init__(self, table: list[list[float]], weights: list[float]):
        self.table, self.weights_ = np.array(table), np.array(weights)
        self.n_components_ = len(table)

    def sample(self, n: int, component: int | None = None, *, mean: bool, random_state: np.random.RandomState):
        if component is None:
            which = random_state.choice(self.n_components_, n, p=self.weights_)
        else:
            which = np.full(n, component)
        labels = np.array([random_state.choice(4, p=self.table[c]) for c in which])
        return rows_of(labels, random_state), which


def test_a_perfect_generator(data, judge):
    found = judge_model(Fake(np.eye(4).tolist(), [0.25] * 4), data, judge, per_component=30)
    assert (found["split"], found["n"], found["mean"]) == ("test", 300, False)
    assert (found["purity"], found["purity_se"], found["purity_weighted"]) == (1, 0, 1)
    assert found["purity_by_component"] == [1, 1, 1, 1]
    assert (found["classes_covered"], found["classes_in_data"], found["judge_accuracy"]) == (4, 4, 1)
    assert found["class_entropy_data"] == pytest.approx(np.log(4))
    assert found["class_entropy"] == pytest.approx(np.log(4), abs=0.03)
    assert found["class_kl"] < 0.03
    assert min(found[name] for name in ("precision", "recall", "density", "coverage")) > 0.85
    json.dumps(found, allow_nan=False)


def test_a_generator_of_mixed_components_that_drops_classes(data, judge):
    """Component 0 draws class 0; component 1, three quarters of the rows, draws 0 and 1 evenly."""
    model = Fake([[1, 0, 0, 0], [0.5, 0.5, 0, 0]], [0.25, 0.75])
    found = judge_model(model, data, judge, per_component=400)
    assert found["purity_by_component"][0] == 1
    assert found["purity_by_component"][1] == pytest.approx(0.52, abs=0.06)
    assert found["purity"] == pytest.approx(np.mean(found["purity_by_component"]))
    assert found["purity_weighted"] == pytest.approx(np.dot([0.25, 0.75], found["purity_by_component"]))
    assert 0 < found["purity_se"] < 0.02
    assert found["classes_covered"] == 2
    p = 0.25 + 0.375
    assert found["class_entropy"] == pytest.approx(-p * np.log(p) - (1 - p) * np.log(1 - p), abs=0.05)
    assert found["precision"] > 0.85
    assert found["recall"] <= 0.5
    assert found["coverage"] <= 0.5
    perfect = judge_model(Fake(np.eye(4).tolist(), [0.25] * 4), data, judge, per_component=30)
    error = np.hypot(found["frechet_distance_se"], perfect["frechet_distance_se"])
    assert found["frechet_distance"] - perfect["frechet_distance"] > 5 * error


def test_figures_of_quality_are_those_of_its_parts(data, judge):
    random = np.random.RandomState(1)
    test = data.splits["test"]
    generated = rows_of(random.randint(3, size=200), random)
    found = quality(judge, test.x, test.y, generated, n_resamples=20)
    features = judge.features(test.x), judge.features(generated)
    assert found["frechet_distance"] == frechet_distance(*features)
    assert found["frechet_distance_se"] == bootstrap_se(frechet_distance, features, 20)
    terms = neighbourhoods(*features)
    for name in ("precision", "recall", "density", "coverage"):
        assert found[name] == getattr(terms, name).mean()
        assert found[f"{name}_se"] == bootstrap_se(np.mean, [getattr(terms, name)], 20)
    assert found["class_entropy"] == class_entropy(judge.predict(generated))
    assert found["classes_covered"] == 3
    assert not [name for name in found if "purity" in name]


@pytest.fixture(scope="module")
def corners() -> Dataset:
    """Make grey 8x8 images with one bright corner."""
    random = np.random.RandomState(0)
    y = np.arange(240) % 3
    x = np.zeros((240, 1, 8, 8), dtype=np.float32)
    for k, (i, j) in enumerate([(0, 0), (0, 4), (4, 0)]):
        x[y == k, 0, i : i + 4, j : j + 4] = random.uniform(0.7, 1.0, (80, 4, 4))
    return Dataset("corners", {"all": Split(x, y)}, "bernoulli", None, "")


@pytest.fixture(scope="module")
def corner_judge(corners: Dataset) -> Judge:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("cpvae.study.classifier.STEPS", (60, 60))
        return Judge.fit(corners.splits["all"].x, corners.splits["all"].y)


def test_models_without_components_have_no_purity_and_models_with_have_it(corners, corner_judge):
    """Two real fits."""
    x = corners.splits["all"].x
    quick = {"latent_dim": 2, "hidden": (16,), "max_epochs": 10, "batch_size": 10, "random_state": 0}
    plain = judge_model(VAE(**quick).fit(x), corners, corner_judge)
    assert not [name for name in plain if "purity" in name]
    assert (plain["split"], plain["n"], plain["mean"]) == ("all", 240, True)
    assert set(plain["drawn"]) == set(plain) - {"split", "n", "mean", "drawn"}
    assert plain["drawn"]["frechet_distance"] != plain["frechet_distance"]
    model = CPVAE(3, **quick, init="gmm").fit(x)
    found = judge_model(model, corners, corner_judge, n_samples=100, per_component=20)
    assert found["n"] == 100
    assert len(found["purity_by_component"]) == 3
    assert found["purity"] > 0.8
    expected = np.dot(model.weights_, found["purity_by_component"]) / model.weights_.sum()
    assert found["purity_weighted"] == pytest.approx(expected)
    assert found == judge_model(model, corners, corner_judge, n_samples=100, per_component=20)


class Images(Fake):
    """A generator of blank images that remembers whether means were asked for."""

    def __init__(self, varies: bool):
        super().__init__([[1, 0, 0, 0]], [1.0])
        self.model_, self.asked = SimpleNamespace(likelihood=SimpleNamespace(varies=varies)), []

    def sample(self, n, component=None, *, mean, random_state):
        self.asked.append(mean)
        return np.zeros((n, 1, 8, 8)), np.zeros(n, dtype=int)


@pytest.mark.parametrize(
    ("varies", "mean", "asked", "drawn"),
    [
        (True, None, [True, False], [False, True]),  # of grey images means, and draws beside them
        (True, False, [False], [True]),
        (True, True, [True], [False]),
        (False, None, [True, False], [False, False]),  # a model of levels draws grey pixels
        (False, False, [False], [False]),
    ],
)
def test_like_is_compared_with_like(corners, corner_judge, monkeypatch, varies, mean, asked, drawn):
    """Real pixels are drawn where generated ones are."""
    given = []
    monkeypatch.setattr(
        "cpvae.study.judging.quality", lambda judge, real, *rest, **options: given.append(real) or {"coverage": 1.0}
    )
    model, x = Images(varies), corners.splits["all"].x
    found = judge_model(model, corners, corner_judge, seed=4, mean=mean)
    assert (found["mean"], model.asked) == (asked[0], asked)
    assert found.get("drawn") == ({"coverage": 1.0} if len(asked) > 1 else None)
    for real, pixels in zip(given, drawn, strict=True):
        np.testing.assert_array_equal(real, corner_judge.draw(x, 4) if pixels else x)


def test_black_and_white_images_are_drawn_and_labels_needed(corners, corner_judge):
    x, y = corners.splits["all"].x, corners.splits["all"].y
    model = Images(varies=True)
    judge_model(model, Dataset("ink", {"all": Split(x > 0.5, y)}, "bernoulli", None, ""), corner_judge)
    assert model.asked == [False]
    bare = Dataset("bare", {"all": Split(x, None)}, "bernoulli", None, "")
    with pytest.raises(InputError, match="bare has no labels in 'all': expected some, to check the judge by"):
        judge_model(model, bare, corner_judge)


# ---------------------------------------------------------------- tables


def mixed(n: int = 120) -> tuple[pd.DataFrame, np.ndarray]:
    """Draw three sources in a number, a count, a flag and a level; a tenth of the levels is missing."""
    random = np.random.RandomState(0)
    y = np.arange(n) % 3
    frame = pd.DataFrame(
        {
            "size": random.normal(6 * y, 1.0),
            "visits": random.poisson(1 + 8 * y),
            "flag": (y == 2).astype(int),
            "kind": np.where(random.rand(n) < 0.1, None, np.array(["a", "b", "c"])[y]),
        }
    )
    return frame, y


def test_a_table_is_judged_by_its_schema():
    frame, y = mixed()
    schema = Schema.infer(frame, {"visits": "count"})
    data = Dataset("mixed", {"train": Split(frame[:80], y[:80]), "test": Split(frame[80:], y[80:])}, None, None, "")
    judge = judge_for(data, schema=schema)
    assert judge.shape == (1 + 1 + 2 + 3 + 1,)  # a number, a count, levels, and whether the level is missing
    assert judge.accuracy(frame[80:], y[80:]) > 0.95
    given: list[pd.DataFrame] = []

    class Copy(Fake):
        """A model that draws rows of the table, for component k those of source k."""

        def sample(self, n, component=None, *, mean, random_state):
            rows = frame[80:] if component is None else frame[y == component]
            given.append(rows.dropna().sample(n, replace=True, random_state=0).reset_index(drop=True))
            return given[-1], None

    found = judge_model(Copy(np.eye(3).tolist(), [1 / 3] * 3), data, judge, per_component=20)
    assert found["purity"] > 0.95
    assert found["coverage"] > 0.8
    assert found["classes_covered"] == 3
    assert "drawn" not in found


def test_cells_missing_in_real_rows_are_taken_out_of_generated_ones():
    """Or rows without gaps beside rows with some would look unlike each other."""
    real = pd.DataFrame({"a": [1.0, None], "b": ["x", "y"]})
    generated = pd.DataFrame({"a": [5.0, 6.0], "b": ["y", "y"]})
    assert _with_gaps_of(real, generated).isna().to_numpy().tolist() == [[False, False], [True, False]]
    assert _with_gaps_of(real.dropna(), generated[:1]) is not None
    x, gap = np.zeros((3, 2, 4)), np.zeros((3, 2, 4))
    assert _with_gaps_of(x, x) is x
    gap[1, 0, 2] = np.nan
    assert np.isnan(_with_gaps_of(gap, x)).tolist() == np.isnan(gap).tolist()
