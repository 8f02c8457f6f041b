"""Measures of one fitted row: functions of a model and its data, each a part of a result file.

Test rows are looked at here, once for each finished fit, and nowhere else.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import ks_2samp, norm, wasserstein_distance

from cpvae.data.loaders import Dataset, make_synthetic
from cpvae.estimators.clusterer import Clusterer
from cpvae.estimators.contract import DeepMixture
from cpvae.estimators.rows_in import as_table
from cpvae.estimators.zoo import CPVAE
from cpvae.files import write_atomic
from cpvae.fitting import runs
from cpvae.fitting.schedules import constant
from cpvae.nn.draws import seeded
from cpvae.probability.estimates import EVALUATED, LEFT_OUT, component_probabilities, in_use, standard_error
from cpvae.probability.expectations import Relaxed
from cpvae.study import metrics
from cpvae.study.evaluation import evaluate_model, some_rows
from cpvae.study.figures.images import pixels
from cpvae.study.judge import judge_for
from cpvae.study.judging import judge_model
from paper.released import two_draws

IMPORTANCE_SAMPLES, IMPORTANCE_ROWS = 5000, 1000
TEMPERATURES = (1.0, 0.5)  # what the released code begins with, and the least it allows
RELAXED_DRAWS = 4
JUDGED_ROWS, ROWS_A_COMPONENT = 2000, 200
CATEGORIES = "categories.npy"  # of the test rows, in a run folder
JUDGES = "judges"  # in the folder of all runs
DRAWN, DRAWN_EACH, COMPONENTS_DRAWN, RECONSTRUCTED = 36, 8, 10, 12  # images kept for the figures
FRESH = 1234  # seed of synthetic rows that no fit saw
BINS = np.linspace(0.0, 1.0, 101)  # of the histograms of the synthetic data
TRUTH = ((0.3, 0.05), (0.7, 0.05))  # location and scale of its two sources


@dataclass(frozen=True)
class Fitted:
    """A finished fit.

    Attributes:
        model: the fitted model.
        data: the data set of the fit.
        place: the run folder.
        serves: targets that need the row; they decide which images are kept.
        picture: the file for these images, or None for a seed without any.
    """

    model: DeepMixture
    data: Dataset
    place: Path
    serves: tuple[str, ...]
    picture: Path | None

    def rows(self, split: str) -> Any:
        """Return the rows of a split as the model takes them."""
        return as_table(self.data.splits[split].x, self.data.feature_names)


Measure = Callable[[Fitted], dict[str, Any]]


def test(fit: Fitted) -> dict[str, Any]:
    """Measure what `cpvae evaluate` says of the test rows."""
    return {"test": evaluate_model(fit.model, fit.data, "test")}


def calibration(fit: Fitted) -> dict[str, Any]:
    """Measure calibration: bins of probability beside the share that is right. Keep the categories of the test rows."""
    train, labels = fit.data.splits["train"], fit.data.splits["test"].y
    proba = fit.model.predict_proba(fit.rows("test"))
    np.save(fit.place / CATEGORIES, proba.argmax(1).astype(np.int16))
    assert train.y is not None
    assert labels is not None
    mapping = metrics.hungarian_mapping(train.y, fit.model.predict(fit.rows("train")))
    bins = metrics.calibration(labels, proba, mapping)
    return {"calibration": {name: np.round(values, 6).tolist() for name, values in bins._asdict().items()}}


def likelihood(fit: Fitted) -> dict[str, Any]:
    """Estimate the importance-weighted likelihood of some test rows, and the bound of the same rows."""
    few = as_table(some_rows(fit.data.splits["test"], IMPORTANCE_ROWS).x, fit.data.feature_names)
    log_px, bound = fit.model.log_likelihood(few, IMPORTANCE_SAMPLES), fit.model.score_samples(few)
    return {
        "importance_weighted": {
            "samples": IMPORTANCE_SAMPLES,
            "rows": len(few),
            "negative_log_likelihood": -float(log_px.mean()),
            "negative_log_likelihood_se": standard_error(log_px),
            "negative_elbo": -float(bound.mean(dtype=np.float64)),
            "gap_se": standard_error(log_px - bound),
        }
    }


@torch.no_grad()
def relaxed(fit: Fitted) -> dict[str, Any]:
    """Measure what the released code prints in place of the bound: eq. (7) at relaxed draws of c, which is no bound.

    The draws are points inside the simplex, by Gumbel-softmax: one for encoder and prior, another for the decoder.
    """
    if not isinstance(fit.model, CPVAE) or fit.model.n_components == 1:
        return {}
    model, found = fit.model.model_, {}
    with seeded(0):
        for temperature in TEMPERATURES:
            expectation = Relaxed(constant(temperature))
            values = []
            for batch in fit.model._observed(fit.rows("test")):
                for y in batch.split(1000):
                    draws = [two_draws(model, y, expectation).elbo for _ in range(RELAXED_DRAWS)]
                    values.append(torch.stack(draws).mean(0).numpy(force=True))
            whole = np.concatenate(values)
            found[str(temperature)] = {"value": -float(whole.mean(dtype=np.float64)), "se": standard_error(whole)}
    return {"relaxed_not_a_bound": found}


def weights(fit: Fitted) -> dict[str, Any]:
    """Measure by how much -L of the test rows changes under another p(c) than the model's own: uniform, and empirical.

    p(c) enters L through KL(q(c | x) || p(c)) alone. Empirical is q(c) of the training rows. The share of rows for
    which all of many categories are summed is measured too (`cpvae.probability.estimates.alike`).
    """
    if not isinstance(fit.model, CPVAE):
        return {}
    module = fit.model.model_
    q = torch.cat([component_probabilities(module, y) for y in fit.model._observed(fit.rows("test"))]).double()
    own = module.latent().logits.double().log_softmax(-1)
    others = {
        "uniform": torch.full_like(own, -math.log(len(own))),
        "empirical": torch.from_numpy(fit.model.weights_).to(own).clamp_min(1e-6).log(),
    }
    changes = {name: -float((q @ (log_p - own)).mean()) for name, log_p in others.items()}
    left_out = 1 - q.topk(min(EVALUATED, len(own)), dim=1).values.sum(1)
    return {"change_by_weights": changes, "rows_of_all_categories": float((left_out >= LEFT_OUT).double().mean())}


def judged(fit: Fitted) -> dict[str, Any]:
    """Ask a classifier that the models never see about new rows (`cpvae.study.quality`): means, and drawn rows."""
    judge = judge_for(fit.data, fit.place.parents[1] / JUDGES / fit.data.name)
    found = judge_model(fit.model, fit.data, judge, "test", n_samples=JUDGED_ROWS, per_component=ROWS_A_COMPONENT)
    return {"judged": found}


def sheet(fit: Fitted) -> dict[str, Any]:
    """Copy the sheet of samples that a fit of images drew to a file beside the result."""
    if fit.picture is None or not (fit.place / runs.SAMPLES).exists():
        return {}
    path = fit.picture.with_suffix(".png")
    write_atomic(path, (fit.place / runs.SAMPLES).read_bytes())
    return {"picture": path.name}


def pictures(fit: Fitted) -> dict[str, Any]:
    """Keep images as bytes: new rows, rows of each component for Figure 7, reconstructions for Figure 5."""
    if fit.picture is None:
        return {}
    model = fit.model
    kept = {"samples": pixels(model.sample(DRAWN, mean=True)[0])}
    if "fig7" in fit.serves and isinstance(model, Clusterer):
        largest = np.sort(np.argsort(-model.weights_, kind="stable")[:COMPONENTS_DRAWN])
        kept["largest"] = largest.astype(np.int16)
        kept["components"] = np.stack([pixels(model.sample(DRAWN_EACH, int(k), mean=True)[0]) for k in largest])
    if "fig5" in fit.serves:
        few = some_rows(fit.data.splits["test"], RECONSTRUCTED).x
        kept["rows"] = pixels(model._to_shape(torch.cat(list(model._observed(few)))))
        kept["reconstructions"] = pixels(model.reconstruct(few))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **kept)  # type: ignore[arg-type]
    write_atomic(fit.picture, buffer.getvalue())
    return {"picture": fit.picture.name}


def reconstruction(fit: Fitted) -> dict[str, Any]:
    """Measure the mean squared error of reconstructions of test rows; observed pixels are scaled to span 0 to 1."""
    some = some_rows(fit.data.splits["test"], JUDGED_ROWS).x
    likelihood = fit.model.model_.likelihood
    seen = torch.cat(list(fit.model._observed(some)))
    made = likelihood.to_model(
        torch.from_numpy(np.asarray(fit.model.reconstruct(some)).reshape(len(seen), -1)).to(seen)
    )
    return {"reconstruction_mse": float(((seen - made) / (seen.max() - seen.min())).square().mean())}


def density(fit: Fitted) -> dict[str, Any]:
    """Compare what a model of the synthetic data generates with the true density, and count dead categories.

    Kolmogorov-Smirnov and Wasserstein-1 distances are to fresh rows. Total variation is between a histogram of the
    generated rows and the exact probabilities of its bins.
    """
    n = len(fit.data.splits["train"].x)
    truth, _ = make_synthetic(n, random_state=FRESH)
    exact = np.mean([np.diff(norm.cdf(BINS, loc, scale)) for loc, scale in TRUTH], axis=0)
    found: dict[str, Any] = {}
    names = ("aggregated", "prior") if isinstance(fit.model, CPVAE) else ("prior",)
    for name in names:
        drawn = fit.model.sample(n, weights=name)[0][:, 0].astype(np.float64)
        found[name] = {
            "ks": float(ks_2samp(drawn, truth[:, 0]).statistic),
            "wasserstein": float(wasserstein_distance(drawn, truth[:, 0])),
            "total_variation": _variation(drawn, exact),
            "histogram": np.round(np.histogram(drawn, BINS)[0] / n, 6).tolist(),
        }
    result: dict[str, Any] = {"density": found, "exact": np.round(exact, 6).tolist(), "rows": n}
    result["total_variation_of_true_rows"] = _variation(truth[:, 0], exact)  # what chance alone gives
    if isinstance(fit.model, CPVAE):
        result["weights"] = np.sort(fit.model.weights_)[::-1].round(6).tolist()
        result["dead"] = int((~in_use(fit.model.weights_)).sum())
    return result


def _variation(rows: np.ndarray, exact: np.ndarray) -> float:
    """Measure total variation between a histogram of rows and exact probabilities; rows outside of the bins count."""
    share = np.histogram(rows, BINS)[0] / len(rows)
    return float(np.abs(share - exact).sum() + max(0.0, 1 - share.sum())) / 2


# What is measured of the rows in each folder of `experiments/`.
MEASURES: dict[str, tuple[Measure, ...]] = {
    "clusters": (test, calibration, sheet),
    "table1": (test, likelihood, relaxed, weights, reconstruction, judged, pictures),
    "ablation": (test, relaxed, weights),
    "synthetic": (test, density),
}
