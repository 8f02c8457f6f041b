"""The paper, reproduced: rows from files, fitted once, resumed, rendered from their results alone."""

from __future__ import annotations

import json
import math
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.text import Text
from scipy.stats import norm

from conftest import shorten_sets
from cpvae import InputError, load
from cpvae.cli import program
from cpvae.data import loaders
from cpvae.fitting.runs import held
from cpvae.study.evidence import evidence
from cpvae.study.inputs import make_estimator
from cpvae.study.metrics import ari
from paper import clusters, drawing, measures, open_points, page, pages, running, sizes, table, targets
from paper.drawing import draw, drawn
from paper.measures import BINS, CATEGORIES
from paper.planning import Costs, Plan, duration
from paper.released import estimator_name, known
from paper.rows import Row, named, published, read_rows, serving
from paper.running import RowSeed, missing
from paper.verification import FILE, choose, compare, verified, verify

ROW = """
about = "{about}"
dataset = "{dataset}"
model = "{model}"
seeds = {seeds}
serves = {serves}
[params]
{params}
hidden = [16]
latent_dim = 3
max_epochs = 2
"""
ONE = "about = 'x'\ndataset = 'digits'\nmodel = 'vae'\nserves = ['all']\n"
ROOT = Path(__file__).parents[1]


def write(folder: Path, name: str, serves: list[str], params: str = "", model: str = "cpvae", seeds: int = 1) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = ROW.format(
        about=f"about {name}", dataset=name.split("-")[0], model=model, seeds=seeds, serves=serves, params=params
    )
    (folder / f"{name}.toml").write_text(text)


@pytest.fixture(scope="module", autouse=True)
def _few_samples() -> Iterator[None]:
    """Take few of the rows, few of the samples of the paper for a likelihood, and few of the steps for a judge."""
    with pytest.MonkeyPatch.context() as patch:
        shorten_sets(patch, "synthetic", most=3000)
        patch.setattr(measures, "IMPORTANCE_SAMPLES", 100)
        patch.setattr("cpvae.study.classifier.STEPS", (50, 50))
        yield


@pytest.fixture(scope="module")
def done(tmp_path_factory) -> Path:
    """Make a checkout whose experiments were run once, one fit after the other."""
    root = tmp_path_factory.mktemp("reproduce")
    of = root / "experiments"
    k = "n_components = 10"
    write(of / "clusters", "digits-kmeans", ["accuracy"], f"{k}\ninit = 'kmeans'", seeds=2)
    write(of / "clusters", "digits-none", ["accuracy"], f"{k}\ninit = 'random'\naugment = 'none'")
    write(of / "table1", "digits-cpvae-k10", ["table1", "fig5", "fig7", "fig8"], f"{k}\ninit = 'kmeans'")
    write(of / "table1", "digits-vae", ["table1", "fig5", "fig8"], model="vae")
    write(of / "synthetic", "synthetic-cpvae-k3", ["fig3", "fig4"], "n_components = 3")
    write(of / "synthetic", "synthetic-mog-k3", ["fig3"], "n_components = 3", model="mog")
    (of / "paper.toml").write_text("[table1]\ndigits-cpvae-k10 = 21.5\n[text]\nmnist-cpvae-k10 = 0.5\n")
    rows = read_rows(of)
    running.reproduce(missing(rows, root / "results"), root / "runs", root / "results", n_jobs=1)
    for row in rows:
        running.agreement(row, root / "runs", root / "results")
    return root


def rows_of(root: Path, target: str = "all") -> list[Row]:
    return targets.rows_for(target, read_rows(root / "experiments"))


def row_of(root: Path, name: str) -> Row:
    return named(rows_of(root), [name])[0]


def result_of(root: Path, name: str, seed: int = 0) -> dict:
    return json.loads(row_of(root, name).result(root / "results", seed).read_text())


# ---------------------------------------------------------------- fits and results


def test_every_seed_leaves_a_result_with_its_evidence(done):
    names = [RowSeed(row, seed).name for row in rows_of(done) for seed in range(row.seeds)]
    found = [path.stem for path in (done / "results").glob("*/*-seed*.json")]
    assert sorted(found) == sorted(names)
    result = result_of(done, "digits-kmeans", 1)
    assert [len(values) for values in result["history"].values()] == [2] * len(running.KEPT)
    assert (result["row"], result["seed"], result["epochs"]) == ("digits-kmeans", 1, 2)
    assert {"command", "commit", "versions", "device", "seconds", "params", "gigaflops"} <= set(result)
    assert result["test"]["split"] == "test"
    rows = result["calibration"]["rows"]
    gaps = np.abs(np.subtract(result["calibration"]["confidence"], result["calibration"]["accuracy"]))
    assert sum(rows) == result["test"]["n"]
    assert result["test"]["calibration_error"] == pytest.approx(np.average(gaps, weights=rows), abs=1e-5)


def test_agreement_of_seeds_is_that_of_their_categories(done):
    both = [np.load(done / "runs" / "clusters" / f"digits-kmeans-seed{seed}" / CATEGORIES) for seed in (0, 1)]
    kept = json.loads((done / "results" / "clusters" / "digits-kmeans-agreement.json").read_text())
    assert kept["ari"] == [pytest.approx(ari(*both), abs=1e-5)]
    assert not (done / "results" / "clusters" / "digits-none-agreement.json").exists()


def test_what_has_its_result_is_not_fitted_again(done):
    assert missing(rows_of(done), done / "results") == []


def test_a_lost_result_is_made_from_its_run_without_training(done):
    """The same figures again, of which none is of the training."""
    row = row_of(done, "digits-kmeans")
    path = row.result(done / "results", 0)
    before = json.loads(path.read_text())
    path.unlink()
    history = done / "runs" / "clusters" / "digits-kmeans-seed0" / "history.jsonl"
    trained = history.stat().st_mtime_ns
    running.reproduce(missing([row], done / "results"), done / "runs", done / "results", n_jobs=1)
    after = json.loads(path.read_text())
    assert after["test"] == before["test"]
    assert history.stat().st_mtime_ns == trained
    assert "all" not in after["seconds"]  # of a resumed run that is not known
    path.write_text(json.dumps(before))


# ---------------------------------------------------------------- what is measured


def test_a_cell_of_the_table_has_all_that_is_asked_of_it(done):
    found = {
        cell["row"]: cell for cell in targets.cells_for(rows_of(done, "table1"), done / "results", done / "experiments")
    }
    cell, plain = found["digits-cpvae-k10"], found["digits-vae"]
    assert (cell["published"], plain["published"]) == (21.5, None)
    result = result_of(done, "digits-cpvae-k10")
    assert cell["measured"] == result["test"]["negative_elbo"]
    assert cell["files"] == ["table1/digits-cpvae-k10-seed0.json"]
    assert cell["importance_samples"] == 100
    assert cell["negative_log_likelihood"] < cell["negative_elbo_same_rows"]
    assert cell["negative_elbo_tight"] <= cell["measured"]
    # p(c) is uniform in the fit, so that saying so changes nothing; q(c) of the data serves it better
    assert result["change_by_weights"]["uniform"] == pytest.approx(0, abs=1e-6)
    assert cell["negative_elbo_empirical"] == pytest.approx(
        cell["measured"] + result["change_by_weights"]["empirical"], abs=1e-6
    )
    assert plain["relaxed_not_a_bound"] is None
    assert cell["relaxed_not_a_bound"] is not None
    assert {"purity", "coverage", "frechet_distance", "classes_covered"} <= set(result["judged"])


def test_empirical_weights_change_the_bound_as_a_model_with_them_says(done):
    """Against a model that was saved with p(c) = q(c)."""
    model = load(done / "runs" / "table1" / "digits-cpvae-k10-seed0")
    x = loaders.load("digits").splits["test"].x
    before = model.score(x)
    model.model_.prior.weights = "empirical"
    model.model_.prior.set_aggregated(model.model_.prior.aggregated)
    change = result_of(done, "digits-cpvae-k10")["change_by_weights"]["empirical"]
    assert before - model.score(x) == pytest.approx(change, abs=1e-4)


def test_densities_of_the_synthetic_data_are_measured_against_the_exact_ones(done):
    result = result_of(done, "synthetic-cpvae-k3")
    exact = 0.5 * (np.diff(norm.cdf(BINS, 0.3, 0.05)) + np.diff(norm.cdf(BINS, 0.7, 0.05)))
    np.testing.assert_allclose(result["exact"], exact, atol=1e-6)
    for found in result["density"].values():
        share = np.array(found["histogram"])
        outside = 1 - share.sum()
        assert found["total_variation"] == pytest.approx(0.5 * (np.abs(share - exact).sum() + outside), abs=1e-4)
        assert 0 < found["ks"] < 1
    assert result["dead"] == sum(weight < 0.1 / 3 for weight in result["weights"])


def test_images_of_the_figures_are_bytes_from_black_to_white(done):
    found = {one.row.name: one for one in drawn(serving(rows_of(done), "fig5"), done / "results")}
    images = found["digits-cpvae-k10"].images
    assert images["samples"].shape == (36, 8, 8)
    assert images["components"].shape == (10, 8, 8, 8)
    assert images["largest"].tolist() == list(range(10))
    assert images["rows"].shape == images["reconstructions"].shape == (12, 8, 8)
    assert all(array.dtype == np.uint8 for name, array in images.items() if name != "largest")
    assert images["samples"].max() > 100
    assert "components" not in found["digits-vae"].images
    assert 0 < found["digits-vae"].result["reconstruction_mse"] < 0.25


# ---------------------------------------------------------------- pages and figures


def test_the_table_of_clusters_has_median_worst_and_best_of_the_files(done):
    rows = rows_of(done, "accuracy")
    accuracy = sorted(result_of(done, "digits-kmeans", seed)["test"]["accuracy"] for seed in (0, 1))
    cell = next(clusters.cells(rows, done / "results"))
    assert (cell["accuracy_worst"], cell["accuracy_best"]) == tuple(accuracy)
    assert cell["accuracy_median"] == pytest.approx(sum(accuracy) / 2)
    text = clusters.table(rows, done / "results")
    assert f"| {cell['accuracy_median']:.4f} | {accuracy[0]:.4f} | {accuracy[1]:.4f} |" in text
    assert text.count("digits-kmeans-seed") == 2


def test_everything_is_written_without_runs_and_data(done, tmp_path, monkeypatch):
    """As in a fresh clone: results and experiments are all there is."""
    for name in ("experiments", "results"):
        shutil.copytree(done / name, tmp_path / name)
    monkeypatch.setenv("CPVAE_DATA", str(tmp_path / "nothing"))
    rows = read_rows(tmp_path / "experiments")
    written = page.render(rows, tmp_path / "results", tmp_path / "experiments", tmp_path)
    names = {path.relative_to(tmp_path).as_posix() for path in written}
    assert {"docs/reproduction.md"} | {
        f"docs/figures/fig{n}{suffix}" for n in (3, 4, 5, 7, 8) for suffix in (".png", ".pdf")
    } == names
    text = (tmp_path / "docs" / "reproduction.md").read_text()
    value = result_of(done, "digits-cpvae-k10")["test"]["negative_elbo"]
    assert f"| digits-cpvae-k10 | {value:.2f} |" in text
    first = next(path for path in written if path.stem == "fig3")
    before = first.read_bytes()
    first.unlink()
    draw("fig3", serving(rows, "fig3"), tmp_path / "results", tmp_path)
    assert first.read_bytes() == before  # the same bytes again


def test_the_standard_error_is_the_largest_of_each_data_set():
    cells = [
        {"measured": 1.0, "dataset": data, "negative_elbo_se": error}
        for data, error in (("mnist", 0.2), ("mnist", 0.3), ("omniglot", 0.5))
    ]
    cells.append({"measured": None, "dataset": "other"})
    assert table.errors(cells) == "mnist 0.30, omniglot 0.50"


def test_the_ablation_says_nats_beside_the_first_and_what_the_released_code_would_print(done, tmp_path):
    for name in ("experiments", "results"):
        shutil.copytree(done / name, tmp_path / name)
    of = tmp_path / "experiments"
    write(of / "table1", "mnist-cpvae-k10", ["table1"], "n_components = 10")
    write(of / "ablation", "mnist-released", ["ablation"], "n_components = 10")
    (of / "paper.toml").write_text("[table1]\nmnist-cpvae-k10 = 84.76\n[text]\nmnist-cpvae-k10 = 0.5\n")
    result = result_of(done, "digits-cpvae-k10")
    for group, name, bound in (("table1", "mnist-cpvae-k10", 88.0), ("ablation", "mnist-released", 90.5)):
        result["test"]["negative_elbo"] = bound
        result["relaxed_not_a_bound"] = {"1.0": {"value": bound - 3}, "0.5": {"value": bound - 2}}
        (tmp_path / "results" / group).mkdir(exist_ok=True)
        (tmp_path / "results" / group / f"{name}-seed0.json").write_text(json.dumps(result))
    text = page.page(read_rows(of), tmp_path / "results", of, tmp_path)
    assert "| about mnist-released | 90.50 | +2.50 | 87.50 | 88.50 |" in text
    assert "| about mnist-cpvae-k10 | 88.00 |  | 85.00 | 86.00 |" in text
    said = " ".join(text.split())
    assert "The valid -L of this fit is 90.50." in said
    assert "that the released code would print is 87.50 at temperature 1 and 88.50 at 0.5" in said
    assert "The published number for K = 10 is 84.76." in said


def test_a_figure_without_results_is_not_drawn(tmp_path):
    row = Row("table1", "mnist-vae", "", "mnist", "vae", 1, ("fig8",))
    assert draw("fig8", [row], tmp_path / "results", tmp_path) == []
    assert not (tmp_path / "docs").exists()


def test_the_overview_has_measured_and_published_side_by_side(tmp_path):
    base = {"spread": {}, "dataset": "mnist", "measured": 87.123}
    cells = [
        {**base, "row": "mnist-cpvae-k10", "model": "cpvae", "components": 10, "published": 84.76}
        | {"spread": {"measured": 0.05}},
        {**base, "row": "mnist-vae", "model": "vae", "components": None, "published": 88.75, "measured": None},
    ]
    lines = table.overview(cells).splitlines()
    assert lines[2].split("|")[1:3] == [" CP ", " 87.12 ± 0.05 (84.76) "]
    assert lines[3].split("|")[1:4] == [" VAE ", " … (88.75) ", "  "]  # one cell for each data set
    longer = [
        {**cells[0], "published": None, "epochs": 360.0, "row": f"mnist-cpvae-k10{end}"} for end in ("-long", "-full")
    ]
    lines = table.overview(longer).splitlines()
    assert [line.split("|")[1] for line in lines[2:]] == [" CP ", " CP, full covariances "]
    assert "(360 epochs)" in lines[3]


def test_every_figure_of_a_cell_is_a_mean_over_seeds_with_its_spread(tmp_path):
    row = Row("table1", "mnist-cpvae-k10", "", "mnist", "cpvae", 3, (), 0.0, {"n_components": 10})
    (tmp_path / "table1").mkdir()
    for seed, (bound, change, nll) in enumerate([(87.0, 0.5, 83.0), (88.0, 0.25, 85.0)]):
        result = {
            "row": row.name,
            "seed": seed,
            "epochs": 120,
            "device": "cpu",
            "seconds": {"start": 60.0, "training": 60.0},
            "test": {"negative_elbo": bound, "accuracy": 0.9, "components_used": 10},
            "change_by_weights": {"empirical": change},
            "importance_weighted": {"negative_log_likelihood": nll},
            "judged": {"frechet_distance": 8.0 + seed, "coverage": 0.9} if seed else None,
        }
        row.result(tmp_path, seed).write_text(json.dumps(result))
    (cell,) = table.cells([row], tmp_path, {})
    assert (cell["measured"], cell["seeds"], cell["start_share"]) == (87.5, [0, 1], 1.0)
    line = [text.strip() for text in table.details([cell]).splitlines()[-1].split("|")[1:-1]]
    assert line[1] == "87.50 ± 0.71"
    assert "84.00 ± 1.41" in line
    assert "87.88 ± 0.53" in line  # -L with empirical p(c), seed by seed
    assert "9.0" in line  # one seed of two was judged
    assert "10" in line  # a number of things has no spread in print


# ---------------------------------------------------------------- what the page says beside the claims


def test_what_stays_open_has_its_figures():
    def row(name: str, k: int, model: str = "cpvae", **params: object) -> Row:
        return Row("table1", name, "", "mnist", model, 1, ("table1",), params={"n_components": k, **params})

    rows = [
        row("mnist-cpvae-k10", 10, covariance_type="diag"),
        row("mnist-cpvae-k10-long", 10, covariance_type="diag"),
        row("mnist-cpvae-k10-full", 10, covariance_type="full"),
        row("mnist-cpvae-k10-conv", 10, covariance_type="diag", network="conv"),
        row("mnist-cpvae-k500", 500, covariance_type="diag"),
        row("mnist-mog-k10", 10, "mog"),
    ]
    bounds = dict(zip([one.name for one in rows], (87.0, 85.0, 83.0, 82.0, 86.5, 88.0), strict=True))
    cells = {
        name: {
            "row": name,
            "measured": bound,
            "relaxed_not_a_bound": bound + 0.5,
            "components_used": 480.0,
            "seeds": [0, 1] if name == "mnist-cpvae-k10" else [0],
        }
        for name, bound in bounds.items()
    }
    paper = {"mnist-cpvae-k10": 84.0, "mnist-cpvae-k500": 88.0, "mnist-mog-k10": 89.5, "mnist-mog-k500": 89.0}
    found = open_points.found(cells, rows, paper)
    assert found["reached"] == [
        "K = 10: as in the table 87.00, three times the steps 85.00*, full covariances too 83.00* (published 84.00)",
        "K = 500: as in the table 86.50* (published 88.00)",
    ]
    assert (found["lowest"]["row"], found["full"]["row"]) == ("mnist-cpvae-k10-long", "mnist-cpvae-k10-full")
    assert (found["relaxed_changes"], found["better_mog"]) == (0.5, (1.5, 1.5))
    assert found["rises"] == {"k": 500, "log": math.log(50), "published": 4.0, "measured": -0.5, "used": 480.0}
    empty = open_points.found({}, rows, paper)
    assert not any(empty.values())


# ---------------------------------------------------------------- plans


def result_with(results: Path, row: Row, seconds: float, rate: float, seed: int = 0) -> None:
    path = row.result(results, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"seed": seed, "epochs": 100, "seconds": {"start": 0, "training": 1, "all": seconds}, "gigaflops": rate}
    path.write_text(json.dumps({**result, "test": {}, "device": "cpu"}))


def some(name: str, model: str, k: int | None, seeds: int = 1) -> Row:
    return Row("table1", name, "", name.split("-")[0], model, seeds, ("table1",), 0.0, {"n_components": k} if k else {})


def test_seconds_are_those_of_the_nearest_result_at_the_speed_of_this_machine(tmp_path):
    few, many, other = (
        some("mnist-mog-k10", "mog", 10),
        some("mnist-mog-k400", "mog", 400),
        some("mnist-vae", "vae", None),
    )
    asked = some("mnist-mog-k500", "mog", 500)
    rows = [few, many, other, asked]
    assert Costs(rows, tmp_path, 10.0).seconds(asked) is None
    result_with(tmp_path, few, 100, 10.0)
    assert Costs(rows, tmp_path, 10.0).seconds(asked) == pytest.approx(100)
    assert Costs(rows, tmp_path, 5.0).seconds(asked) == pytest.approx(200)  # half as fast
    result_with(tmp_path, many, 300, 10.0)
    assert Costs(rows, tmp_path, 10.0).seconds(asked) == pytest.approx(300)
    assert Costs(rows, tmp_path, 10.0).seconds(other) is None
    result_with(tmp_path, asked, 50, 10.0)
    assert Costs(rows, tmp_path, 10.0).seconds(asked) == pytest.approx(50)


def test_a_fit_of_more_epochs_or_another_network_costs_what_that_does(tmp_path):
    """Results are of 100 epochs."""
    plain, conv = some("mnist-mog-k10", "mog", 10), some("mnist-mog-k10-conv", "mog", 10)
    conv.params["network"] = "conv"
    result_with(tmp_path, plain, 100, 10.0)
    result_with(tmp_path, conv, 900, 10.0)
    long, other = some("mnist-mog-k10-long", "mog", 10), some("mnist-mog-k150-conv", "mog", 150)
    long.params["max_epochs"] = 400
    other.params["network"] = "conv"
    short = Row(
        "clusters", "mnist-short", "", "mnist", "mog", 1, ("accuracy",), 0.0, {"n_components": 10, "max_epochs": 60}
    )
    result_with(tmp_path, short, 50, 10.0)
    usual = Row("ablation", "mnist-usual", "", "mnist", "mog", 1, ("ablation",), 0.0, {"n_components": 10})
    expected = Costs([short, plain, conv, long, other, usual], tmp_path, 10.0)
    assert expected.seconds(long) == pytest.approx(400)
    assert expected.seconds(other) == pytest.approx(900)
    assert expected.seconds(usual) == pytest.approx(100)  # not that of the short one
    full, asked = some("mnist-mog-k500-full", "mog", 500), some("mnist-mog-k10-full", "mog", 10)
    full.params["covariance_type"] = asked.params["covariance_type"] = "full"
    result_with(tmp_path, full, 700, 10.0)
    assert Costs([plain, full, asked], tmp_path, 10.0).seconds(asked) == pytest.approx(700)


def test_a_budget_holds_first_seeds_before_second_ones_and_cheap_before_dear(tmp_path, monkeypatch):
    monkeypatch.setattr("paper.planning.speed", lambda: 10.0)
    cheap, dear = some("mnist-vae", "vae", None, 3), some("mnist-mog-k10", "mog", 10, 3)
    result_with(tmp_path, cheap, 60, 10.0, seed=2)
    result_with(tmp_path, dear, 300, 10.0, seed=2)
    jobs = missing([dear, cheap], tmp_path)
    assert len(jobs) == 4

    def chosen(budget: float | None) -> list[str]:
        return [job.name for job in Plan(jobs, [dear, cheap], tmp_path, 1, budget).jobs]

    assert chosen(None) == [job.name for job in jobs]
    assert chosen(130) == ["mnist-vae-seed0", "mnist-vae-seed1"]
    assert chosen(370) == ["mnist-vae-seed0", "mnist-mog-k10-seed0"]
    with pytest.raises(InputError, match="shortest fit takes about 1 min"):
        chosen(30)
    lines = Plan(jobs, [dear, cheap], tmp_path, 2, 60).lines()
    assert lines[0] == "2 fits, 2 at a time: about 1 min on this machine"
    assert lines[1].startswith("left for later: table1/mnist-mog-k10-seed0")
    assert Plan(jobs, [dear, cheap], tmp_path, 1, 370).each() == [
        "     1 min  table1/mnist-vae-seed0",
        "     5 min  table1/mnist-mog-k10-seed0",
    ]
    # side by side the whole takes as long as the longest, and no longer one is taken than there is time for
    assert Plan(jobs, [dear, cheap], tmp_path, 16, None).seconds == pytest.approx(300)
    within = Plan(jobs, [dear, cheap], tmp_path, 2, 190).jobs
    assert [job.name for job in within] == ["mnist-vae-seed0", "mnist-vae-seed1"]
    assert duration(3700) == "1 h 02 min"


def test_without_any_result_a_budget_takes_one_fit_for_each_place(tmp_path):
    rows = [some(f"mnist-mog-k{k}", "mog", k) for k in (2, 3, 4, 5)]
    plan = Plan(missing(rows, tmp_path), rows, tmp_path, 2, 60)
    assert len(plan.jobs) == 2
    assert "no result tells how long mnist-mog-k2-seed0 takes, nor 1 more" in plan.lines()[0]
    assert plan.each()[0] == "         ?  table1/mnist-mog-k2-seed0"


def test_rows_of_the_same_name_have_costs_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr("paper.planning.speed", lambda: 10.0)
    one, other = (Row(group, "mnist-exact", "", "mnist", "cpvae", 2, ("all",)) for group in ("clusters", "ablation"))
    result_with(tmp_path, one, 6000, 10.0)
    result_with(tmp_path, other, 60, 10.0)
    plan = Plan(missing([one, other], tmp_path), [one, other], tmp_path, 1, None)
    assert plan.costs == [pytest.approx(6000), pytest.approx(60)]


# ---------------------------------------------------------------- files and the command


def test_damaged_results_and_numbers_are_refused_in_one_line(done, tmp_path):
    for name in ("experiments", "results"):
        shutil.copytree(done / name, tmp_path / name)
    rows = read_rows(tmp_path / "experiments")

    def said() -> str:
        with pytest.raises(InputError) as refused:
            page.page(rows, tmp_path / "results", tmp_path / "experiments", tmp_path)
        return str(refused.value)

    images = tmp_path / "results" / "table1" / "digits-vae-seed0.npz"
    images.write_bytes(b"PK")
    with pytest.raises(InputError, match="restore it from the checkout"):
        drawn(serving(rows, "fig5"), tmp_path / "results")
    result = tmp_path / "results" / "table1" / "digits-vae-seed0.json"
    for text in ("{}", "{", "[1]"):
        result.write_text(text)
        assert "is no result; restore it from the checkout, or delete it" in said()
    shutil.copy(done / "results" / "table1" / "digits-vae-seed0.json", result)
    for content in (b"[text]\n", b"\xff", b"table1 = 3\n[text]\n"):
        (tmp_path / "experiments" / "paper.toml").write_bytes(content)
        assert "does not hold the published numbers" in said()
    with pytest.raises(InputError, match="no part between"):
        pages.rendered("a page without marks", "new")


def test_agreement_is_not_written_from_some_of_the_seeds(done, tmp_path):
    shutil.copytree(done / "results", tmp_path / "results")
    path = tmp_path / "results" / "clusters" / "digits-kmeans-agreement.json"
    before, name = path.read_bytes(), "digits-kmeans-seed1"
    shutil.copytree(done / "runs" / "clusters" / name, tmp_path / "runs" / "clusters" / name)
    running.agreement(row_of(done, "digits-kmeans"), tmp_path / "runs", tmp_path / "results")
    assert path.read_bytes() == before


def test_an_argument_taken_out_of_a_row_is_not_resumed_with(tmp_path):
    """The fit goes on as the row says or not at all; the other fits are not held up."""
    of = tmp_path / "experiments"
    write(of / "synthetic", "synthetic-vae", ["fig3"], "batch_size = 500", model="vae")
    (row,) = read_rows(of)
    running.reproduce(missing([row], tmp_path / "r"), tmp_path / "runs", tmp_path / "r", n_jobs=1)
    row.result(tmp_path / "r", 0).unlink()
    write(of / "synthetic", "synthetic-vae", ["fig3"], model="vae")
    write(of / "synthetic", "synthetic-vae-other", ["fig3"], "batch_size = 500", model="vae")
    rows = read_rows(of)
    with pytest.raises(InputError, match=r"1 of 2 fits were refused.*batch_size: 500 there, None asked"):
        running.reproduce(missing(rows, tmp_path / "r"), tmp_path / "runs", tmp_path / "r", n_jobs=1)
    assert [row.result(tmp_path / "r", 0).exists() for row in rows] == [False, True]


def test_a_figure_of_the_methods_without_components_alone(done, tmp_path):
    row = Row("synthetic", "synthetic-vae", "", "synthetic", "vae", 1, ("fig3",))
    path = row.result(tmp_path / "results", 0)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(result_of(done, "synthetic-mog-k3")))
    assert len(draw("fig3", [row], tmp_path / "results", tmp_path)) == 2


@pytest.mark.parametrize(
    "text",
    [
        "dataset = ",
        "model = 'cpvae'\nseeds = 2",
        "about = 'x'\nseeds = 'many'",
        ONE.replace("['all']", "'all'"),
        ONE + "seeds = 0",
    ],
)
def test_a_damaged_row_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "table1").mkdir()
    (tmp_path / "table1" / "bad.toml").write_text(text)
    with pytest.raises(InputError, match="is no row of an experiment"):
        read_rows(tmp_path)
    with pytest.raises(InputError, match="run this in a checkout"):
        read_rows(tmp_path / "none")
    with pytest.raises(InputError, match="restore it"):
        published(tmp_path)


def test_the_experiments_of_the_checkout_are_the_paper():
    """A row for each published cell, three seeds for MNIST at K = 10, every figure with rows."""
    rows = read_rows(ROOT / "experiments")
    paper = published(ROOT / "experiments")
    in_table = {row.name: row for row in serving(rows, "table1")}
    assert len(paper["table1"]) == 24
    assert set(paper["table1"]) <= set(in_table)
    column = [f"mnist-{name}" for name in ("cpvae-k10", "vae", "mog-k10", "vamp-k10", "hvae", "hvae-vamp-k10")]
    assert all(in_table[name].seeds >= 3 for name in column)
    for target in targets.TARGETS:
        assert targets.rows_for(target, rows)
    for row in rows:
        with known():
            make_estimator(estimator_name(row.model, row.params), row.params).check_params()


def test_pages_of_the_checkout_are_what_its_results_give():
    """Written again, the committed pages are the same, and all figures have their results."""
    rows = read_rows(ROOT / "experiments")
    assert page.page(rows, ROOT / "results", ROOT / "experiments", ROOT) == (ROOT / page.PAGE).read_text()
    body = clusters.body(serving(rows, "accuracy"), serving(rows, "fig4"), ROOT / "results")
    text = (ROOT / clusters.PAGE).read_text()
    assert pages.rendered(text, body) == text
    for name in drawing.FIGURES:
        assert (ROOT / drawing.FOLDER / f"{name}.png").exists()
        assert drawn(serving(rows, name), ROOT / "results")


def test_the_command_prints_a_list_of_cells(done, capsys, monkeypatch):
    monkeypatch.chdir(done)
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "table1", "--render", "--json"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 0
    said = json.loads(capsys.readouterr().out)
    assert [cell["row"] for cell in said] == ["digits-cpvae-k10", "digits-vae"]
    assert {"row", "dataset", "components", "published", "measured", "seeds", "files"} <= set(said[0])
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "all", "--plan"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 0
    assert "every fit has its result" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "all", "--plan", "--json", "--results", "none"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 0
    answer = capsys.readouterr()
    said = json.loads(answer.out)
    assert len(said["jobs"]) == 7
    assert "table1/digits-vae-seed0\n" in answer.err
    assert {"row", "group", "seed", "seconds"} == set(said["jobs"][0])
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "all", "--render", "--results", "elsewhere/results"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 0
    assert "no pages are written" in capsys.readouterr().err


def test_results_measured_again_are_the_same_from_weights_and_from_arguments(done, tmp_path):
    """Of one row the run is there, of others nothing, or one that did not finish; the result files stay as they are."""
    jobs = [RowSeed(row_of(done, name), 0) for name in ("digits-cpvae-k10", "digits-vae", "synthetic-cpvae-k3")]
    for job in (jobs[0], jobs[2]):
        shutil.copytree(done / "runs" / job.row.group / job.name, tmp_path / job.row.group / job.name)
    unfinished = tmp_path / "synthetic" / jobs[2].name
    (unfinished / "model.safetensors").unlink()
    config = json.loads((unfinished / "config.json").read_text())
    (unfinished / "config.json").write_text(json.dumps({**config, "status": "running"}))
    kept = {path: path.read_bytes() for path in (done / "results").glob("*/*.json")}
    found = verify(jobs, tmp_path, done / "results", "said", n_jobs=1)
    assert [one.fitted_again for one in found] == [False, True, True]
    assert all(one.same for one in found)
    assert min(one.figures for one in found) > 40
    assert {path: path.read_bytes() for path in kept} == kept
    assert verified(done / "results")["compared"] == [one.as_dict() for one in found]
    assert verified(done / "results")["command"] == "said"
    (done / "results" / FILE).unlink()


def test_what_could_be_compared_is_kept_where_another_fit_is_refused(done, tmp_path):
    jobs = [RowSeed(row_of(done, name), 0) for name in ("digits-cpvae-k10", "digits-vae")]
    shutil.copytree(done / "runs" / "table1" / jobs[0].name, tmp_path / "table1" / jobs[0].name)
    said: list[str] = []
    with held(tmp_path / "table1" / jobs[1].name), pytest.raises(InputError, match="1 of 2 fits were refused"):
        verify(jobs, tmp_path, done / "results", "said", n_jobs=1, progress=said.append)
    assert [one["name"] for one in verified(done / "results")["compared"]] == ["table1/digits-cpvae-k10-seed0"]
    assert any("figures the same" in line for line in said)
    (done / "results" / FILE).unlink()


def test_a_figure_that_is_not_what_the_weights_give_is_named(done, tmp_path, capsys, monkeypatch):
    shutil.copytree(done, tmp_path / "checkout")
    monkeypatch.chdir(tmp_path / "checkout")
    path = row_of(done, "digits-vae").result(Path("results"), 0)
    result = json.loads(path.read_text())
    result["test"]["negative_elbo"] *= 1.001
    path.write_text(json.dumps(result))
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "table1", "--row", "vae", "--verify", "9", "--json"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 1
    said = capsys.readouterr()
    assert "test negative_elbo differs by 0.0" in said.err
    assert [(one["name"], one["same"]) for one in json.loads(said.out)] == [("table1/digits-vae-seed0", False)]
    text = " ".join(Path("docs", "reproduction.md").read_text().split())
    assert "`cpvae reproduce table1 --row vae --verify 9 --seed 0` chose 1 results at random" in text
    assert "It fitted 1 of them again, because their weights were not at hand. 0 of 1 results agree" in text


def test_results_are_compared_figure_by_figure():
    a = {"test": {"n": 100, "elbo": -80.0, "k": [1, 2]}, "seconds": 1, "device": "a", "recipe": "old"}
    assert compare("a", a, {**a, "seconds": 2, "device": "b", "row": "new"})[1:] == (4, 0.0, "", False)
    assert compare("a", a, {**a, "test": {**a["test"], "elbo": -80.004, "new": 3.0}}).same
    worse = compare("a", a, {**a, "test": {**a["test"], "elbo": -80.8}})
    assert (worse.same, worse.where, worse.difference) == (False, "test elbo", pytest.approx(0.01))
    lost = compare("a", a, {**a, "test": {"n": 100, "k": [1, 2]}})
    assert (lost.same, lost.where, lost.as_dict()["difference"]) == (False, "test elbo", None)
    assert not compare("a", {"test": {"n": 100_000}}, {"test": {"n": 100_001}}).same  # a count has to be equal


def test_what_to_verify_is_chosen_among_results(done, tmp_path):
    rows = rows_of(done)
    assert {job.name for job in choose(rows, done / "results", 100, 0)} == {
        path.stem for path in (done / "results").glob("*/*-seed*.json")
    }
    assert len(choose(rows, done / "results", 3, 0)) == 3
    assert choose(rows, done / "results", 3, 0) == choose(rows, done / "results", 3, 0)
    assert len({tuple(job.name for job in choose(rows, done / "results", 1, seed)) for seed in range(50)}) > 1
    with pytest.raises(InputError, match=r"no result in .* to verify"):
        choose(rows, tmp_path, 3, 0)
    for text in ("{", '{"compared": [{"name": "a"}]}'):
        (tmp_path / FILE).write_text(text)
        assert verified(tmp_path) is None


def test_other_data_stand_beside_their_peers(tmp_path):
    """Mean, worst and best of each method from its file, and which rows it was judged on."""
    assert clusters.others(tmp_path) == ""
    (tmp_path / clusters.OTHERS).mkdir(parents=True)
    runs = [
        {"method": m, "accuracy": a} for m, a in (("CP-VAE", 0.9), ("KMeans", 0.5), ("CP-VAE", 0.8), ("KMeans", 0.6))
    ]
    result = {"dataset": "some", "train": 1200, "test": 300, "same_rows": False, "n_components": 3, "runs": runs}
    (tmp_path / clusters.OTHERS / "some.json").write_text(json.dumps(result))
    line = clusters.others(tmp_path).splitlines()[2]
    assert line.startswith("| some | 1,200 | 3 | 0.850 (0.800 to 0.900) | 0.550 (0.500 to 0.600) | 2 | 300 test rows |")
    (tmp_path / clusters.STARTS).mkdir()
    for name in ("some", "mnist"):
        begun = {"dataset": name, "train": 1200, "runs": [{"accuracy": 0.7}]}
        (tmp_path / clusters.STARTS / f"{name}.json").write_text(json.dumps(begun))
    text = clusters.others(tmp_path)
    assert "| 300 test rows | [0.700](../results/clusters/starts/some.json) | [file]" in text
    assert "all 1,200 training rows of MNIST: [0.700](../results/clusters/starts/mnist.json)." in text


def test_where_there_is_no_checkout_the_command_says_so(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("cpvae.cli.reproduce.CHECKOUT", tmp_path)
    monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", "all", "--plan"])
    with pytest.raises(SystemExit) as stopped:
        program.main()
    assert stopped.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: cpvae reproduce: this cpvae is installed without the paper's experiments; expected")
    assert said.count("\n") == 1


def test_the_paper_is_no_part_of_what_is_installed():
    """Packages are those below src, and each pattern of other files names files that are there."""
    setuptools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert setuptools["packages"]["find"]["where"] == ["src"]
    assert not (ROOT / "src" / "paper").exists()
    assert not (ROOT / "src" / "cpvae" / "paper").exists()
    for package, patterns in setuptools["package-data"].items():
        for pattern in patterns:
            assert list((ROOT / "src" / package).glob(pattern)), pattern


def test_the_controls_have_as_many_parameters_as_cp():
    rows = {row.name: row for row in read_rows(ROOT / "experiments")}
    cp = sizes.parameters(rows["mnist-cpvae-k10"])
    for name in ("mnist-vae", "mnist-mog-k10", "mnist-vamp-k10"):
        plain, deep = (sizes.parameters(rows[name + end]) for end in ("", "-deep"))
        assert plain.encoder == 675_680
        assert deep.encoder - plain.encoder == 2 * 300 * 300 + 2 * 300  # a gated layer of 300 units
        assert deep.all == pytest.approx(cp.all, rel=0.015)
    one, control = (sizes.parameters(rows[name]) for name in ("mnist-cpvae-k1", "mnist-vae-deep"))
    assert control.all == pytest.approx(one.all, rel=0.002)
    assert sizes.parameters(rows["mnist-mog-k1"]).encoder == 675_680
    text = sizes.table(list(rows.values()), {})
    assert "| mnist-cpvae-k10 | 1,313,284 | 865,290 | … |" in text
    assert sizes.table([], {}) == ""


def test_unknown_names_are_refused_with_the_nearest(capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words, nearest in ((["acuracy"], "accuracy"), (["accuracy", "--row", "defalt", "--render"], "default")):
        monkeypatch.setattr("sys.argv", ["cpvae", "reproduce", *words])
        with pytest.raises(SystemExit) as stopped:
            program.main()
        assert stopped.value.code == 2
        assert f"did you mean {nearest!r}?" in capsys.readouterr().err


def test_rows_with_another_start_are_told_beside_the_same_seeds():
    known = {"mnist-vamp-k10": {"by_seed": {0: 89.0, 1: 88.0}}, "mnist-vamp-k10-random": {"by_seed": {0: 88.5}}}
    assert page._random_starts(known) == [("mnist-vamp-k10", 88.5, 89.0)]
    assert page._random_starts({name: {"by_seed": {i: 88.0}} for i, name in enumerate(known)}) == []


def test_what_may_be_chance_follows_the_spread_over_seeds():
    assert page._chance({"spread": {"measured": 0.1}}) == (0.1, pytest.approx(0.2828, abs=1e-4))
    assert page._chance({"spread": {}}) is None


def test_the_time_of_a_step_is_told_beside_that_of_vae(tmp_path):
    assert table.steps_of(tmp_path) == {}
    (tmp_path / table.STEPS).write_text('{"milliseconds_a_step": {"mnist-vae": 14.0, "mnist-cpvae-k10": 28.0}}')
    assert table.steps_of(tmp_path) == {"mnist-vae": 1.0, "mnist-cpvae-k10": 2.0}
    (tmp_path / table.STEPS).write_text('{"milliseconds_a_step": {"mnist-cpvae-k10": 28.0}}')
    assert table.steps_of(tmp_path) == {}


def test_pictures_of_the_first_seed_carry_the_figures_of_all():
    row = Row("table1", "mnist-vamp-k10", "", "mnist", "vamp", 2, ("fig7", "fig8"), 0.0, {"n_components": 10})
    judged = [
        {"coverage": c, "frechet_distance": 9.0, "purity": c, "purity_by_component": [c] * 10} for c in (0.8, 0.9)
    ]
    seeds = [{"judged": one} for one in judged]
    images = {"samples": np.zeros((36, 8, 8)), "components": np.zeros((10, 8, 8, 8)), "largest": np.arange(10)}
    one = drawing.Drawn(row, images, seeds)
    for figure, expected in (
        (drawing.fig8([one]), "coverage 0.85 ± 0.07"),
        (drawing.fig7([one]), "2 seeds 85.0% ± 7.1%"),
    ):
        assert figure is not None
        assert any(expected in text.get_text() for text in figure.findobj(Text))


def test_a_result_says_on_what_it_was_made(monkeypatch):
    assert evidence("said")["device"].startswith("cpu, ")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda place: f"a card at {place}")
    assert evidence("said", "cuda:0")["device"] == "cuda, a card at cuda:0"
    monkeypatch.setenv("PATH", "")  # no git
    assert evidence("said")["commit"] == ""


def test_words_and_seconds_are_no_figures_to_compare():
    result = {"test": {"negative_elbo": 1.0, "split": "test", "seconds": 2.0}, "seconds": {"all": 5.0}}
    again = {"test": {"negative_elbo": 1.0, "split": "valid", "seconds": 3.0}, "seconds": {"all": 9.0}}
    found = compare("a", result, again)
    assert (found.figures, found.difference) == (1, 0.0)
