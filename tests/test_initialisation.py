"""Starts: the groups that they find where groups are known, and their limits of cost."""

from __future__ import annotations

import math
import re
import signal
import sys
import time
import warnings
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits, make_blobs, make_moons
from sklearn.metrics import adjusted_rand_score

from conftest import MANY, effort
from cpvae import CPVAE, InputError, load
from cpvae.data.augment import Affine
from cpvae.data.loaders import Dataset
from cpvae.data.loaders.records import Split
from cpvae.data.overcount import overcount
from cpvae.data.rows import Rows
from cpvae.data.schema import Schema
from cpvae.estimators import zoo
from cpvae.fitting import interrupts, loop
from cpvae.fitting.interrupts import stop_requests
from cpvae.fitting.loop import train
from cpvae.fitting.starts import clusterings, codes, edges, maps, start, ways
from cpvae.fitting.starts.clusterings import ellipses, gaussian_mixture, umap_mixture
from cpvae.fitting.starts.codes import AutoencoderCode, RowCode, SpectrumCode
from cpvae.fitting.starts.means import k_means
from cpvae.fitting.starts.start import STARTS, choose
from cpvae.fitting.starts.task import CutShort, Task
from cpvae.probability.likelihoods.choice import make
from cpvae.probability.likelihoods.likelihood import Form
from cpvae.probability.objectives import Bound, full
from cpvae.study.evaluation import measure
from cpvae.study.findings import findings
from cpvae.study.found import what_was_found
from cpvae.study.metrics import accuracy_hungarian

SHAPED = ("random", "signals", "spectrum", "edges")  # that take no rows of plain numbers
BLOBS, GROUPS = make_blobs(600, 5, centers=4, cluster_std=0.6, random_state=0)


def task(x: np.ndarray, n_components: int, is_image: bool = False, **changes) -> Task:
    rows = Rows(x)
    likelihood = make(
        "bernoulli" if is_image else "gaussian", rows, Form((1, *x.shape[1:]) if is_image else x.shape[1:])
    )
    return Task(rows, rows.at(np.arange(50)), likelihood, n_components, seed=0, **changes)


@pytest.mark.parametrize("name", [name for name in STARTS if name not in SHAPED])
def test_groups_far_apart_are_found(name):
    found = STARTS[name](task(BLOBS, 4))
    assert accuracy_hungarian(GROUPS, found.numpy()) == 1.0


@pytest.mark.parametrize("clustering", [k_means, gaussian_mixture, umap_mixture])
def test_what_is_found_on_some_rows_is_said_of_all(clustering):
    begin = start.ClusteredStart(start.ALONE, clustering)
    found = begin(task(BLOBS, 4, max_rows=200))
    assert found.shape == (600,)
    assert accuracy_hungarian(GROUPS, found.numpy()) == 1.0


@pytest.mark.parametrize("name", STARTS)
def test_one_component_needs_no_start(name):
    assert STARTS[name](task(BLOBS, 1)) is None
    assert STARTS[name].epochs(task(BLOBS, 1)) == 0


# -- starts that are stopped ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in STARTS if name not in SHAPED])
def test_a_start_asked_to_stop_gives_quick_categories_of_some_rows(name, monkeypatch):
    monkeypatch.setattr(start, "FEW_ROWS", 400)
    asked = task(BLOBS, 4)
    asked.stop.ask()
    with pytest.raises(CutShort) as cut:
        STARTS[name](asked)
    assert accuracy_hungarian(GROUPS[cut.value.index], cut.value.categories.numpy()) == 1.0
    assert len(set(cut.value.index)) == 400


def test_a_table_whose_start_is_asked_to_stop_has_quick_categories_too():
    frame = pd.DataFrame(BLOBS).assign(side=np.array(["left", "right"])[GROUPS % 2]).rename(columns=str)
    schema = Schema.infer(frame)
    rows = Rows(schema.encode(frame))
    asked = Task(rows, rows, make("columns", rows, Form((6,), schema=schema)), 4, seed=0)
    asked.stop.ask()
    with pytest.raises(CutShort) as cut:
        STARTS["rows"](asked)
    assert accuracy_hungarian(GROUPS[cut.value.index], cut.value.categories.numpy()) == 1.0


def test_a_stop_ends_a_clustering_at_once_and_a_second_one_everything(monkeypatch):
    def clustering(points, n_components, random):
        signal.raise_signal(signal.SIGTERM)
        raise AssertionError("it went on")

    with stop_requests() as stop:
        with pytest.raises(CutShort):
            start.ClusteredStart(start.ALONE, clustering)(task(BLOBS, 4, stop=stop))
        signal.raise_signal(signal.SIGTERM)  # from `timeout` to the group, after that to the process
        monkeypatch.setattr(interrupts, "SAME", 0.0)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_a_stop_that_a_clustering_loses_is_repeated(monkeypatch):
    def clustering(points, n_components, random):
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        for _ in range(1000):
            time.sleep(0.01)

    monkeypatch.setattr(interrupts, "AGAIN_AFTER", 0.05)
    with stop_requests() as stop, pytest.raises(CutShort):
        start.ClusteredStart(start.ALONE, clustering)(task(BLOBS, 4, stop=stop))


def gaits(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Cut windows from three steady movements seen by two sensors: ``(n, 2, 60)`` and the kinds."""
    random = np.random.default_rng(0)
    y, phase = random.integers(3, size=n), random.uniform(0, 2 * np.pi, (n, 1))
    turns = np.linspace(0, 2 * np.pi, 60, endpoint=False) * np.array([2, 3, 5])[y][:, None]
    x = np.stack([np.sin(turns + phase), np.cos(2 * turns + phase)], 1)
    return x + 0.2 * random.normal(size=x.shape), y


def test_signals_that_may_begin_anywhere_are_told_by_their_spectrum_and_keep_their_categories(monkeypatch):
    monkeypatch.setattr(maps.importlib.util, "find_spec", lambda name: None)  # a map takes longer
    x, y = gaits(90)
    model = CPVAE(3, latent_dim=3, hidden=(64,), max_epochs=80, random_state=0).fit(x)
    assert model._stationary
    assert "time tells" in model._seen()[0]
    assert accuracy_hungarian(y, model.predict(x)) > 0.95
    rolled = np.roll(x, 23, axis=2)
    assert (model.predict(rolled) == model.predict(x)).mean() > 0.9


@pytest.mark.parametrize(("init", "expected"), [("spectrum", "signals"), ("signals", "signals"), ("edges", "pictures")])
def test_a_spectrum_is_of_signals_and_edges_are_of_pictures(init, expected):
    with pytest.raises(InputError, match=rf"init='{init}' for rows taken for matrix: expected {expected}"):
        CPVAE(2, init=init).fit(BLOBS)


def test_edges_say_what_a_picture_shows_and_not_how_bright_it_is():
    pictures = torch.from_numpy(load_digits().data[:20]).float()
    found = edges.histograms(pictures, (1, 8, 8))
    assert found.shape == (20, 9 * 16)
    torch.testing.assert_close(edges.histograms(40.0 - 3.0 * pictures, (1, 8, 8)), found, rtol=1e-3, atol=1e-5)
    colours = torch.stack([pictures, 0.1 * pictures, torch.zeros_like(pictures)], 1).flatten(1)
    torch.testing.assert_close(edges.histograms(colours, (3, 8, 8)), found)
    torch.testing.assert_close(edges.histograms(pictures[3:4], (1, 8, 8)), found[3:4])  # no row depends on others
    assert edges.histograms(torch.ones(2, 64), (1, 8, 8)).eq(0).all()
    for shape in ((1, 1, 30), (1, 30, 1), (1, 1, 1)):  # narrower than a part
        assert edges.histograms(torch.rand(2, math.prod(shape)), shape).shape == (2, 9 * math.prod(shape))


def test_codes_side_by_side_have_the_same_variance():
    wide, still = RowCode(), lambda asked: lambda x: np.zeros((len(x), 2))
    still.epochs = lambda asked: 3
    asked = task(1000.0 * BLOBS, 4)
    both = (wide, RowCode(2), still)
    points = ways.codings([both], asked)[0](asked.rows.x)
    np.testing.assert_allclose([points[:, part].var(0).sum() for part in (slice(5), slice(5, 7))], 1.0, rtol=1e-5)
    assert (points[:, 7:] == 0).all()
    assert start.ClusteredStart((both, (wide,)), k_means).epochs(asked) == 3


def lines(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw lines that rise, fall or stay, around one level, with noise: ``(n, 1, 60)`` and the kinds."""
    random = np.random.default_rng(0)
    y = random.integers(3, size=n)
    x = np.linspace(-1, 1, 60) * np.array([-1, 0, 1])[y][:, None]
    return (x + 0.3 * random.normal(size=x.shape))[:, None], y


@pytest.mark.parametrize(("made", "way"), [(gaits, SpectrumCode), (lines, RowCode)])
@pytest.mark.parametrize("tried", [60, 40])
def test_of_several_codes_the_one_is_taken_whose_groups_lie_most_apart(made, way, tried, monkeypatch):
    x, y = made(60)
    rows = Rows(x.reshape(len(x), -1).astype(np.float32))
    asked = Task(rows, rows, make("gaussian", rows, Form(x.shape[1:])), 3, seed=0, shape=x.shape[1:])
    monkeypatch.setattr(start, "TRIED", tried)
    monkeypatch.setattr(start, "TRIED_OF_EACH", 1)
    clustered = []

    def clustering(points, n_components, random):
        clustered.append(points)
        return umap_mixture(points, n_components, random)

    found = start.ClusteredStart(((RowCode(),), (SpectrumCode(),)), clustering)(asked).numpy()
    assert accuracy_hungarian(y, found) > 0.95
    taken = way()(asked)(rows.x)
    alone = start.ClusteredStart(((way(),),), umap_mixture)(asked).numpy()
    np.testing.assert_array_equal(found, alone)
    assert len(clustered) == (2 if tried == 60 else 3)  # the groups of all rows are found once
    assert any(one.shape == taken.shape and (one == taken).all() for one in clustered)


def test_lines_that_drift_apart_do_not_begin_anywhere():
    x, y = lines(90)
    model = CPVAE(3, latent_dim=3, hidden=(64,), max_epochs=60, random_state=0).fit(x)
    assert not model._stationary
    assert accuracy_hungarian(y, model.predict(x)) > 0.95


def test_the_start_weighs_more_where_values_say_the_same_many_times():
    alone = np.random.RandomState(0).normal(size=(200, 36)).astype(np.float32)
    weights = {}
    for name, x in (("alone", alone), ("copied", alone.repeat(4, axis=1)), ("matrix", alone.repeat(4, axis=1))):
        side = int(np.sqrt(x.shape[1]))
        model = CPVAE(2, init="kmeans", likelihood="gaussian", latent_dim=2, hidden=(4,), max_epochs=1, random_state=0)
        model.fit(x if name == "matrix" else x.reshape(-1, side, side))
        objective = model._objective(full, 1)
        weights[name] = objective.overcount
        assert objective.start_weight == 6.0
        assert objective.held.weight == objective.overcount
    assert weights["matrix"] == 1.0
    assert weights["alone"] == pytest.approx(1.0, rel=0.15)
    assert weights["copied"] > 3.0 * weights["alone"]


def test_pictures_are_learned_among_slight_copies_which_fade_out():
    """Copies are there with one category, too, so that numbers of categories can be compared."""
    x = np.random.RandomState(0).normal(size=(100, 64)).astype(np.float32)
    quick = {"latent_dim": 2, "hidden": (4,), "max_epochs": 1, "random_state": 0, "init": "kmeans"}

    def bound(x=x, n_components=3, shape=(8, 8), **given):
        return CPVAE(n_components, **{**quick, **given}).fit(x.reshape(100, *shape))._objective(full, 100)

    for one in (bound(), bound(n_components=1)):
        assert one.slight.augment == Affine((1, 8, 8)).times(0.5)
        assert [one.replaced(step) for step in (0, 40, 80, 99)] == [0.5, 0.25, 0.0, 0.0]
    assert type(bound(n_components=1)) is Bound
    assert bound(copy_share=0.2).replaced(0) == 0.2
    without = ({"copy_share": 0.0}, {"consistency": 0.0}, {"augment": "none"}, {"init": "random"}, {"preset": "paper"})
    for given in without:
        assert bound(**given).slight is None
    assert bound(shape=(64,)).slight is None
    assert bound(shape=(1, 64), augment="shift").slight is None


def test_the_start_is_forgotten_where_rows_are_many_and_none_is_known(monkeypatch):
    """A weight that is asked for stays, and so does that of categories that are known, or go on."""
    x, labels = make_blobs(300, centers=3, random_state=0)
    known = [int(label) if i < 30 else None for i, label in enumerate(labels)]
    quick = {"latent_dim": 2, "hidden": (4,), "max_epochs": 1, "random_state": 0}

    def weight(model):
        return model._objective(full, 1).start_weight

    assert weight(CPVAE(3, **quick).fit(x)) == 6.0
    monkeypatch.setattr(zoo, "MANY", len(x) // 2)
    many = CPVAE(3, **quick).fit(x)
    assert weight(many) == 0.0
    assert weight(CPVAE(3, start_weight=2.0, **quick).fit(x)) == 2.0
    assert weight(CPVAE(3, **quick).fit(x, known=known)) == 6.0
    assert weight(many.continue_fit(x, n_new=0)) == 6.0
    assert weight(CPVAE(3, **quick).fit(x[: len(x) // 2])) == 6.0  # of which a tenth is held out


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [1, 2, 5, 20, 400])
def test_few_rows_do_not_make_independent_values_say_the_same(n):
    random = np.random.RandomState(0)
    x = random.normal(size=(n, 784)).astype(np.float32)
    assert overcount(Rows(x)) < 1.5
    assert overcount(Rows(np.full_like(x, np.nan))) == 1.0
    x[:, 0], x[0, 1] = np.nan, np.nan
    assert overcount(Rows(x)) < 1.5


def test_rounding_is_no_error_of_a_row():
    random = np.random.RandomState(0)
    x = random.normal(size=(100, 3)) @ random.normal(size=(3, 784))
    assert overcount(Rows(x.astype(np.float32))) == 1.0


def test_of_wide_rows_fewer_are_looked_at(monkeypatch):
    x = np.random.RandomState(0).normal(size=(200, 64)).astype(np.float32)
    few = overcount(Rows(x[np.random.RandomState(0).permutation(200)[:50]]))
    monkeypatch.setattr("cpvae.data.overcount.MOST_NUMBERS", 50 * 64 + 63)
    assert overcount(Rows(x)) == pytest.approx(few, rel=0.1)


def test_weights_that_know_the_start_go_before_others(monkeypatch):
    """The bound of noise is the best in the first epochs: the start holds for 30, and is never known or always."""
    x = np.random.default_rng(0).normal(size=(60, 100))
    kwargs = {"latent_dim": 10, "hidden": (100,), "max_epochs": 60, "learning_rate": 0.01, "random_state": 0}
    best = {}
    for known in (2.0, 0.0):
        monkeypatch.setattr(loop, "KNOWN", known)
        model = CPVAE(2, init="kmeans", **kwargs).fit(x)
        bounds = [record["valid_negative_elbo"] for record in model.history_]
        best[known] = model.best_epoch_
    assert best[0.0] == np.argmin(bounds) + 1 < 30
    assert best[2.0] == np.argmin(bounds[29:]) + 30


def test_many_components_leave_none_without_rows():
    for name in ("umap", "gmm", "kmeans"):
        found = STARTS[name](task(BLOBS, 50))
        assert len(found.unique()) == 50


def test_images_begin_by_edges_and_umap_where_it_is_installed_and_tables_by_their_rows(monkeypatch):
    assert choose((5,), stationary=False) is STARTS["rows"]
    assert choose((1, 8, 8), stationary=False) is STARTS["edges"]
    assert choose((1, 5, 8), stationary=False) is STARTS["umap"]
    assert choose((2, 50), stationary=False) is STARTS["signals"]
    assert choose((2, 50), stationary=True) is STARTS["spectrum"]
    assert choose((500,), by_neighbours=True) is STARTS["directions"]
    monkeypatch.setattr(maps.importlib.util, "find_spec", lambda name: None)
    assert choose((2, 50), stationary=False) is choose((1, 8, 8)) is STARTS["autoencoder"]
    assert choose((2, 50), stationary=True).clustering is gaussian_mixture


def overlapping(n: int = 900) -> tuple[np.ndarray, np.ndarray]:
    """Draw three Gaussians of different spread that overlap, so that neighbours say little."""
    random = np.random.RandomState(0)
    y = random.randint(0, 3, n)
    loc, scale = np.array([[0.0, 0.0], [2.2, 0.0], [0.0, 2.5]]), np.array([[1.0, 0.3], [0.4, 1.0], [0.7, 0.7]])
    return loc[y] + scale[y] * random.normal(size=(n, 2)), y


def test_sources_that_are_ellipses_get_a_mixture_and_others_a_map(monkeypatch):
    moons = make_moons(900, noise=0.06, random_state=0)
    for seed in range(3):
        random = np.random.RandomState(seed)
        assert ellipses(overlapping()[0], 3, random)
        assert ellipses(BLOBS, 4, random)
        assert ellipses(BLOBS[:10], 4, random)
        assert not ellipses(moons[0], 2, random)
    found = {name: STARTS[name](task(moons[0], 2)).numpy() for name in ("rows", "gmm")}
    assert accuracy_hungarian(moons[1], found["rows"]) == 1.0
    assert accuracy_hungarian(moons[1], found["gmm"]) < 0.9
    for name in ("rows", "gmm"):
        assert accuracy_hungarian(overlapping()[1], STARTS[name](task(overlapping()[0], 3)).numpy()) > 0.95
    monkeypatch.setattr(maps.importlib.util, "find_spec", lambda name: None)
    assert adjusted_rand_score(found["gmm"], STARTS["rows"](task(moons[0], 2)).numpy()) == 1.0


def test_a_map_is_left_where_its_groups_touch():
    def halves(points):
        return (points[:, 0] > 1).astype(np.int64)

    moons, (touching, _) = make_moons(300, noise=0.06, random_state=0)[0], overlapping(300)
    random = np.random.RandomState(0)
    assert umap_mixture(touching, 2, random, other=halves) is halves
    assert umap_mixture(moons, 2, random, other=halves) is not halves


def test_a_mixture_through_the_midst_of_neighbours_is_left(monkeypatch):
    points, y = overlapping(300)
    by_chance, by_source = np.random.RandomState(1).randint(0, 3, 300), y
    for one, other in ((by_chance, by_source), (by_source, by_chance)):
        monkeypatch.setattr(clusterings, "gaussian_mixture", lambda *asked, one=one, **known: lambda points: one)
        monkeypatch.setattr(clusterings, "classes", lambda *asked, other=other, **known: lambda points: other)
        found = clusterings.mixture_or_classes(points, 3, np.random.RandomState(0))
        assert found(points) is by_source


@pytest.mark.parametrize(
    ("n", "k", "neighbours"), [(640, 4, 20), (600, 5, 15), (300, 5, 10), (168, 12, 7), (60, 30, 5)]
)
def test_a_component_of_few_rows_has_fewer_neighbours(n, k, neighbours, monkeypatch):
    """An eighth of its rows but 10; with more of them than half of its rows, others' would be among its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that one of its kinds needs TensorFlow
        import umap
    asked = []

    class Told(umap.UMAP):
        def fit(self, points):
            asked.append(self.n_neighbors)
            self.embedding_, self.graph_ = points, sparse.identity(len(points), format="csr")
            return self

    monkeypatch.setattr(umap, "UMAP", Told)
    effort(monkeypatch, MANY)
    umap_mixture(make_blobs(n, 6, centers=k, random_state=0)[0], k, np.random.RandomState(0))
    assert asked == 3 * [neighbours]


def test_directions_leave_out_how_far_a_row_is_from_the_mean():
    asked = task(np.random.RandomState(0).normal(size=(60, 5)).astype(np.float32), 2)
    rows, directions = (RowCode(direction=one)(asked)(asked.rows.x) for one in (False, True))
    np.testing.assert_allclose(directions, rows / np.linalg.norm(rows, axis=1, keepdims=True), rtol=1e-5)


def test_a_code_takes_as_many_steps_whatever_the_rows_but_no_more_than_200_epochs():
    def epochs(n: int, augment: Affine | None) -> int:
        return AutoencoderCode().epochs(task(np.zeros((n, 64), np.float32), 10, is_image=True, augment=augment))

    for augment in (None, Affine((1, 8, 8))):
        assert [epochs(n, augment) for n in (400, 1797)] == [200, 200]
        for n in (8000, 40_000):
            assert 7000 < epochs(n, augment) * n / min(250, n / 50) < 8100


def test_a_code_of_copies_is_that_of_the_last_weights(monkeypatch):
    """Validation rows, which here are noise, would have chosen earlier ones."""
    digits = (load_digits().data / 16).astype(np.float32)
    noise = Rows(np.random.RandomState(0).rand(60, 64).astype(np.float32))
    outcomes = []
    monkeypatch.setattr(codes, "train", lambda *args, **options: outcomes.append(train(*args, **options)))
    for augment in (Affine((1, 8, 8)), None):
        given = replace(task(digits[:60], 10, is_image=True, augment=augment), valid=noise)
        AutoencoderCode(latent_dim=8, hidden=(64,), n_steps=300)(given)
    copies, rows = outcomes
    assert copies.best_epoch == len(copies.history) == AutoencoderCode().most_epochs
    assert rows.best_epoch < len(rows.history)


def test_without_consistency_only_the_start_uses_copies():
    shape = {"n_components": 2, "augment": "affine"}
    for consistency, expected in ((0.0, False), (20.0, True)):
        model = CPVAE(**shape, consistency=consistency)
        model.image_shape_, model.kind_, model.likelihood_ = (1, 8, 8), "images", "bernoulli"
        model.check_params()
        assert model._augment() is not None
        assert model._consistent() is expected
    with pytest.raises(InputError, match=r"consistency=-1: expected a number from 0 to 1e\+06"):
        CPVAE(2, consistency=-1).check_params()


def test_consistency_is_refused_for_rows_without_copies():
    rows = np.random.default_rng(0).normal(size=(30, 3))
    small = {"latent_dim": 2, "hidden": (8,), "max_epochs": 1, "init": "random", "random_state": 0}
    with pytest.raises(InputError, match=r"consistency=3 for matrix rows without copies: .*; leave it out, or ask for"):
        CPVAE(2, consistency=3.0, **small).fit(rows)
    CPVAE(1, consistency=3.0, **small).fit(rows)  # the only category is the same for all copies


def test_without_umap_its_start_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(InputError, match=r"needs umap-learn, .* pip install 'cpvae\[umap\]', or init='autoencoder'"):
        STARTS["umap"](task(BLOBS, 4))


def test_umap_leaves_pytorch_its_threads():
    before = torch.get_num_threads()
    umap_mixture(BLOBS, 4, np.random.RandomState(0))
    assert torch.get_num_threads() == before


def test_groups_that_cut_the_graph_best_go_before_those_that_a_mixture_finds_likely(monkeypatch):
    """On digits each single mixture is right for six to nine of them."""
    effort(monkeypatch, MANY)
    digits = load_digits()
    seen = []

    def kept(self, categories):
        seen.append((modularity(self, categories), accuracy_hungarian(digits.target[:600], categories)))
        return seen[-1][0]

    modularity = maps.Map.modularity
    monkeypatch.setattr(maps.Map, "modularity", kept)
    points = digits.data[:600]
    found = umap_mixture(points, 10, np.random.RandomState(0))(points)
    assert len(seen) == 3 * 20
    assert accuracy_hungarian(digits.target[:600], found) == max(seen)[1] > np.mean([right for _, right in seen])


def test_modularity_is_that_of_newman_and_girvan():
    """Two triangles with an edge between them: 6 of 7 edges within, and half of all ends in each."""
    edges = np.array([(0, 1), (0, 2), (1, 2), (3, 4), (3, 5), (4, 5), (2, 3)])
    graph = sparse.csr_matrix((np.ones(7), edges.T), shape=(6, 6))
    one = maps.Map(np.zeros((6, 2)), graph + graph.T)
    assert one.modularity(np.array([0, 0, 0, 1, 1, 1])) == pytest.approx(6 / 7 - 1 / 2)
    assert one.modularity(np.zeros(6, dtype=int)) == pytest.approx(0)


def test_what_umap_compiles_is_kept_for_the_next_process():
    """Each function is one of Numba's, and asked its store on disk: another version of UMAP may name it otherwise."""
    umap_mixture(BLOBS, 4, np.random.RandomState(0))
    from umap import layouts, umap_

    for function in (
        umap_.smooth_knn_dist,
        umap_.compute_membership_strengths,
        layouts._nb_optimize_layout_euclidean_single_epoch,
    ):
        assert function.stats.cache_path is not None, function


def test_many_columns_become_principal_components():
    x = np.random.RandomState(0).rand(100, 64).astype(np.float32)
    code = RowCode(latent_dim=7)(task(x, 3))
    points = code(torch.from_numpy(x))
    assert points.shape == (100, 7)
    assert (np.diff(points.var(0)) <= 0).all()


def test_a_code_that_rebuilds_rows_from_copies_says_less_of_how_they_are_turned():
    digits = (load_digits().data / 16).astype(np.float32)
    affine = Affine((1, 8, 8))
    kept = {}
    for name, augment in (("copies", affine), ("rows", None)):
        given = task(digits, 10, is_image=True, augment=augment)
        code = AutoencoderCode(latent_dim=8, hidden=(64,), n_steps=300, batch_size=50)(given)
        x = torch.from_numpy(digits[:500])
        torch.manual_seed(1)
        moved, still = code(affine(x)), code(x)
        kept[name] = np.square(moved - still).sum() / np.square(still - still.mean(0)).sum()
    assert kept["copies"] < 0.7 * kept["rows"]


def test_copies_are_for_images_alone():
    with pytest.raises(InputError, match="augment='affine' for rows taken for matrix: expected images"):
        CPVAE(2, augment="affine", max_epochs=1).fit(BLOBS)
    with pytest.raises(InputError, match="augment='afine' is unknown"):
        CPVAE(2, augment="afine").fit(BLOBS)


def test_copies_are_the_default_for_images_large_enough_that_have_a_start():
    def asked(shape: tuple[int, ...] | None, likelihood: str = "bernoulli", **arguments) -> bool:
        model = CPVAE(2, **arguments)
        model.image_shape_, model.kind_, model.likelihood_ = shape, "images", likelihood
        return model._augment() is not None

    assert asked((1, 28, 28))
    assert not asked((1, 8, 28))
    assert asked((1, 8, 28), "levels")
    assert not asked((1, 7, 28), "levels")
    assert not asked((1, 28, 28), init="random")
    assert not asked(None)
    assert asked((1, 8, 8), augment="affine", init="random")
    assert not asked((1, 28, 28), augment="none")


def test_copies_get_the_category_of_their_row_and_the_bound_remains_one():
    """q(c | x) agrees with that of copies more often than without consistency."""
    digits = load_digits().images[:900].astype(np.uint8)[:, None] * 15
    said = {}
    for augment in ("affine", "none"):
        model = CPVAE(10, latent_dim=6, hidden=(64,), augment=augment, init="kmeans", max_epochs=15, random_state=0)
        model.fit(digits)
        torch.manual_seed(2)
        copies = Affine((1, 8, 8))(torch.from_numpy(digits.reshape(-1, 64)))
        said[augment] = (
            model.predict(copies.view(-1, 1, 8, 8).numpy().astype(np.uint8)) == model.predict(digits)
        ).mean()
        assert model.evaluate(digits[:100]).elbo_tight.mean() >= model.evaluate(digits[:100]).elbo.mean()
    assert said["affine"] > said["none"] + 0.05
    assert np.isclose(model.predict_proba(digits[:50]).sum(1), 1, atol=1e-5).all()


class Listener:
    """Keeps what a fit says."""

    def __init__(self):
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def phase(self, title: str, n_epochs: int) -> None:
        pass

    def epoch(self, record: object) -> None:
        pass

    def close(self) -> None:
        pass


def test_restarts_say_how_long_they_take_together():
    listener, small = Listener(), {"latent_dim": 2, "hidden": (4,), "max_epochs": 2, "init": "random"}
    CPVAE(2, n_init=3, random_state=0, **small).fit(BLOBS, reporter=listener)
    said = listener.said
    whole = [line for line in said if line.startswith("about")]
    assert re.fullmatch("about .* for 3 restarts, one after the other", whole[0])
    assert [re.search(r"\(restart (.)/3\)", line)[1] for line in whole[1:]] == ["1", "2", "3"]
    assert re.fullmatch("3 restarts took .* in all", said[-1])


def test_restarts_say_how_far_they_agree(tmp_path):
    fitted = {}
    for name, rows in (("groups", BLOBS), ("noise", np.random.RandomState(0).normal(size=(150, 5)))):
        small = {"latent_dim": 2, "hidden": (16,), "max_epochs": 12, "batch_size": 50, "learning_rate": 3e-3}
        model = CPVAE(4, n_init=3, random_state=0, **small).fit(rows)
        model.save(tmp_path / name)
        same = load(tmp_path / name)
        assert (same.stability_, same.stability_rows_) == (model.stability_, model.stability_rows_)
        assert model.stability_rows_ == len(rows)  # not the tenth that is held out
        found = what_was_found(model, measure(model, Dataset("mine", {"all": Split(rows, None)}, None, None, "")))
        assert f"3 restarts agree on the categories of {len(rows)} rows to an adjusted Rand" in " ".join(found)
        fitted[name] = model
    assert fitted["groups"].stability_ > 0.95
    assert fitted["noise"].stability_ < 0.8
    values = {name: findings(model, model.evaluate(BLOBS), BLOBS) for name, model in fitted.items()}
    said = {name: [one.title for one in found] for name, found in values.items()}
    assert "The categories differ from restart to restart" in said["noise"]
    assert "The categories differ from restart to restart" not in said["groups"]
