"""Claims: the conditions of a rule, the verdict on a claim, the margin of chance between two rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paper.claims import OPEN, OWN_CLAIMS, PAPERS_CLAIMS, Known, bounds, densities, generations, judge, rivals
from paper.claims.claim import Claim, Verdict
from paper.claims.known import CHANCE, DISTANCE, SIZES, Missing
from paper.rows import published, read_rows, serving

ROOT = Path(__file__).parents[1]
SD = 0.125
MARGIN = CHANCE * SD  # 0.354 nats


def cell(name: str = "mnist-cpvae-k10", **values: Any) -> dict[str, Any]:
    """Make the cell of a row with three seeds and a small spread."""
    data, model, *_ = name.split("-")
    bound = values.get("measured", 100.0)
    return {
        "dataset": data,
        "model": next((two for two in ("hvae-vamp", "hvae-cp") if two in name), model),
        "seeds": [0, 1, 2],
        "spread": {"measured": SD, "coverage": 0.01, DISTANCE: 0.1},
        "by_seed": {0: bound},
        "step": 1.0,
        "start_share": 0.0,
        "measured": 100.0,
        "coverage": 0.8,
        "frechet_distance": 20.0,
        "frechet_distance_se": 1.0,
        "classes_covered": 10.0,
        "purity": 0.95,
        "epochs": 120.0,
        "negative_log_likelihood": 90.0,
        "reconstruction_mse": 0.02,
        "about": "a row",
        **values,
    }


def known(published: dict[str, Any] | None = None, **by_bound: float) -> Known:
    """Make rows, each with a bound; names have _ for -."""
    names = {name.replace("_", "-"): value for name, value in by_bound.items()}
    return Known({name: cell(name, measured=value) for name, value in names.items()}, {}, published or {})


def held(rule: Callable[[Known], Verdict], of: Known) -> list[bool]:
    return list(rule(of).held)


# ---------------------------------------------------------------- how a claim stands


@pytest.mark.parametrize(
    ("conditions", "universal", "status"),
    [
        ([True, True], True, "yes"),
        ([True, False], True, "no"),
        ([True, False], False, "1 of 2"),
        ([True, True], False, "2 of 2"),
        ([False], False, "no"),
        ([True], False, "yes"),
    ],
)
def test_a_claim_about_all_cases_holds_or_does_not_and_another_counts(conditions, universal, status):
    claim = Claim("a", "b", lambda known: Verdict(conditions, "c"), universal)
    (judged,) = judge([claim], Known())
    assert judged.status("yes", "no") == status
    assert judged.evidence == ("c (%d of 2 conditions)" % sum(conditions) if universal else "c")  # noqa: UP031


def test_a_claim_without_a_run_is_open():
    found = judge([*PAPERS_CLAIMS, *OWN_CLAIMS], Known({}, {}, {"table1": {}, "text": {"mnist-cpvae-k10": 0.9}}))
    assert {one.status("yes", "no") for one in found} == {OPEN}
    assert all(one.evidence.startswith("no result of ") for one in found)


def test_claims_of_all_cases_are_marked_so():
    universal = [claim.text for claim in (*PAPERS_CLAIMS, *OWN_CLAIMS) if claim.universal]
    assert all(any(word in text for text in universal) for word in ("in all cases", "best of all", "fail", "whatever"))


def test_claims_are_judged_with_all_that_the_checkout_fits():
    """Every row has a result: no claim is open, and cells of other groups, with other figures, do no harm."""
    rows, paper = read_rows(ROOT / "experiments"), published(ROOT / "experiments")
    cells = {
        row.name: cell(row.name, model=row.model, accuracy=0.9, seconds=600.0, step=1.0)
        for row in rows
        if row.group in ("table1", "ablation")
    }
    for row in serving(rows, "accuracy"):
        cells.setdefault(row.name, {"row": row.name, "accuracy_median": 0.98, "seeds": [0], "measured": 0.98})
    density = {"total_variation": 0.02, "histogram": [0.1] * 10}
    shown = {"density": dict.fromkeys(("aggregated", "prior"), density), "dead": 3, "test": {"components_used": 13}}
    of_rows = {row.name: {**shown, "total_variation_of_true_rows": 0.01} for row in rows if row.group == "synthetic"}
    found = judge([*PAPERS_CLAIMS, *OWN_CLAIMS], Known(cells, of_rows, paper))
    assert None not in {one.held for one in found}
    cells["mnist-vamp-k10"]["purity"] = None  # a result without a judge
    again = judge(PAPERS_CLAIMS, Known(cells, of_rows, paper))
    assert [one.claim.rule for one in again if one.held is None] == [generations.categories_are_digits]


# ---------------------------------------------------------------- what may be chance


def test_a_margin_is_that_of_the_pair():
    of = known(mnist_cpvae_k10=85.0, mnist_vamp_k10=85.0, mnist_mog_k150=85.0, mnist_cpvae_k150=85.0)
    of.cells["mnist-vamp-k10"]["spread"]["measured"] = 0.375
    assert of.margin("mnist-cpvae-k10", "mnist-cpvae-k10") == pytest.approx(2 * math.sqrt(2) * 0.125)
    pooled = math.sqrt((0.125**2 + 0.375**2) / 2)
    assert of.margin("mnist-cpvae-k10", "mnist-vamp-k10") == pytest.approx(2 * math.sqrt(2) * pooled)
    of.cells["mnist-vamp-k10"]["seeds"] = [0, 1]  # one degree of freedom beside two
    pooled = math.sqrt((2 * 0.125**2 + 0.375**2) / 3)
    assert of.margin("mnist-cpvae-k10", "mnist-vamp-k10") == pytest.approx(2 * math.sqrt(2) * pooled)


def test_a_row_of_one_seed_counts_with_the_spread_of_its_model_or_of_its_data():
    of = known(mnist_vamp_k10=85.0, mnist_vamp_k150=84.0, mnist_mog_k10=84.0, omniglot_vamp_k50=110.0)
    of.cells["mnist-vamp-k10"]["spread"]["measured"] = 0.25
    of.cells["omniglot-vamp-k50"]["spread"]["measured"] = 9.0
    of.cells["mnist-vamp-k150"] |= {"seeds": [0], "spread": {}}
    assert of.margin("mnist-vamp-k150", "mnist-vamp-k150") == pytest.approx(CHANCE * 0.25)
    of.cells["mnist-mog-k10"] |= {"seeds": [0], "spread": {}}
    assert of.margin("mnist-mog-k10", "mnist-mog-k10") == pytest.approx(CHANCE * 0.25)
    of.cells["mnist-vamp-k10"] |= {"seeds": [0], "spread": {}}
    with pytest.raises(Missing, match="a second seed of mnist-mog-k10"):
        of.margin("mnist-mog-k10", "mnist-vamp-k10")


def test_a_bound_ahead_by_little_is_level_and_a_star_says_one_seed():
    of = known(mnist_cpvae_k10=88.0, mnist_vae=88.3, mnist_mog_k10=87.0)
    of.cells["mnist-vae"]["seeds"] = [0]
    ahead, told = bounds.beside(of, "mnist-cpvae-k10", {"VAE": "mnist-vae", "MG": "mnist-mog-k10"})
    assert (ahead, told) == (False, "CP 88.00, VAE 88.30* (level: the margin is 0.35), MG 87.00 (ahead of CP)")
    of.cells["mnist-vae"]["measured"] = 88.4
    assert bounds.beside(of, "mnist-cpvae-k10", {"VAE": "mnist-vae"})[0]


# ---------------------------------------------------------------- bounds


def test_to_be_the_best_is_to_be_ahead_of_all():
    names = ("mnist-vae", "mnist-mog-k10", "mnist-vamp-k10", "mnist-hvae", "mnist-hvae-vamp-k10")
    of = Known({name: cell(name) for name in names})
    of.cells.update({"mnist-cpvae-k10": cell(measured=85.0), bounds.PAPERS: cell(measured=86.0)})
    assert held(bounds.best_at_ten, of) == [True]
    assert "CP 85.00" in bounds.best_at_ten(of).evidence
    for bound, word in ((85.3, "HVAE 85.30 (level"), (84.0, "HVAE 84.00 (ahead of CP")):
        of.cells["mnist-hvae"]["measured"] = bound
        verdict = bounds.best_at_ten(of)
        assert (verdict.held, word in verdict.evidence) == ([False], True)
    of.cells["mnist-hvae"]["measured"] = 100.0
    of.cells["mnist-vamp-k10-random"] = cell("mnist-vamp-k10-random", measured=84.9)  # the better of two starts counts
    assert held(bounds.best_at_ten, of) == [False]


def test_cp_is_judged_without_its_start_too():
    of = Known({f"{data}-{model}": cell(f"{data}-{model}") for data in SIZES for model in ("vae", "hvae")})
    for data, sizes in SIZES.items():
        for k in sizes:
            for model, bound in (("cpvae", 88.0), ("mog", 88.5)):
                of.cells[f"{data}-{model}-k{k}"] = cell(f"{data}-{model}-k{k}", measured=bound)
    of.cells.update({bounds.UNSTARTED: cell(measured=88.0), bounds.PAPERS: cell(measured=87.0)})
    assert held(bounds.below_vae_and_mg, of) == [True] * 6
    of.cells["omniglot-mog-k500"]["measured"] = 88.3
    assert held(bounds.below_vae_and_mg, of) == [True] * 4 + [False, True]
    of.cells[bounds.UNSTARTED]["measured"] = 89.0  # the paper has no start
    verdict = bounds.below_vae_and_mg(of)
    assert "without the start: CP 89.00, VAE 100.00, MG 88.50 (ahead of CP)" in verdict.evidence
    assert verdict.held[-1] is False


def test_the_vampprior_is_the_best_only_by_more_than_chance():
    of = Known()
    for data, k in (("mnist", 150), ("mnist", 500), ("omniglot", 50), ("omniglot", 500)):
        names = [f"{data}-{model}" for model in ("vae", "hvae")]
        names += [f"{data}-{model}-k{k}" for model in ("cpvae", "mog", "vamp", "hvae-vamp")]
        of.cells.update({name: cell(name, measured=90.0) for name in names})
        of.cells[f"{data}-hvae-vamp-k{k}"]["measured"] = 85.0
        of.cells[f"{data}-vamp-k{k}"]["measured"] = 89.0
    assert held(bounds.vamp_otherwise, of) == [True] * 8
    of.cells["omniglot-hvae"]["measured"] = 85.0 + MARGIN / 2  # the lowest, but by chance
    of.cells["mnist-vamp-k150"]["measured"] = 89.8
    assert held(bounds.vamp_otherwise, of) == [True, False, True, True, False, True, False, True]


def test_bounds_beside_the_published_ones():
    paper = {"table1": {f"mnist-cpvae-k{k}": 85.0 for k in (10, 150, 500)}}
    of = known(paper, mnist_cpvae_k10=85.4, mnist_cpvae_k150=86.0, mnist_cpvae_k500=84.0)
    verdict = bounds.published_bounds(of)
    assert verdict.held == [True, False, False]
    assert [part.split(": ")[-1] for part in verdict.evidence.split("; ")] == ["the same", "worse", "better"]
    names = ["mnist-vae", "mnist-hvae"]
    names += [f"mnist-{m}-k{k}" for m in ("mog", "vamp", "hvae-vamp") for k in (10, 150, 500)]
    others = Known({name: cell(name, measured=88.0) for name in names}, {}, {"table1": dict.fromkeys(names, 88.4)})
    assert held(bounds.published_bounds_of_others, others) == [True] * 11
    others.cells["mnist-mog-k500"]["measured"] = 87.0
    verdict = bounds.published_bounds_of_others(others)
    assert "mog-k500: 87.00, published 88.40: better" in verdict.evidence
    assert sum(verdict.held) == 10


def test_no_worse_with_size_has_no_margin():
    paper = {"table1": {f"mnist-cpvae-k{k}": 85.0 for k in (10, 150, 500)}}
    of = known(paper, mnist_cpvae_k10=87.0, mnist_cpvae_k150=87.0, mnist_cpvae_k500=87.01)
    assert held(bounds.no_worse_with_size, of) == [True, False]


def test_a_stronger_decoder_is_better_by_more_than_chance():
    of = known(mnist_cpvae_k10_conv=84.0, mnist_cpvae_k10_long=87.0, mnist_vae_conv=84.2)
    of.cells["mnist-cpvae-k10-conv"]["seconds"] = 1200.0
    verdict = bounds.stronger_decoder(of)
    assert (verdict.held, "20 minutes" in verdict.evidence) == ([True, False], True)
    del of.cells["mnist-vae-conv"]
    with pytest.raises(Missing):
        bounds.stronger_decoder(of)


# ---------------------------------------------------------------- rivals that are given more


def test_rivals_with_as_many_parameters_are_judged_one_by_one():
    of = known(mnist_cpvae_k10=87.0, mnist_vae_deep=88.0, mnist_mog_k10_deep=87.2, mnist_vamp_k10_deep=88.0)
    verdict = rivals.below_with_as_many_parameters(of)
    assert (verdict.held, "MG 87.20 (level" in verdict.evidence) == ([True, False, True], True)
    for name in ("mnist-vae-deep", "mnist-mog-k10-deep"):
        of.cells[name][DISTANCE] = 23.0
    verdict = rivals.generates_better_with_as_many_parameters(of)
    assert (verdict.held, "Fréchet of CP 20.0, VAE 23.0" in verdict.evidence) == ([True, True, False], True)


def test_two_levels_with_categories_are_judged_beside_those_without_for_each_number_with_runs():
    of = known(mnist_hvae_cp_k10=85.0, mnist_hvae_vamp_k10=86.0, mnist_hvae=87.0, mnist_cpvae_k10=87.0)
    verdict = rivals.two_levels_with_categories(of)
    assert verdict.held == [True]
    assert verdict.evidence.startswith("K=10: HCP 85.00, HVP 86.00, HVAE 87.00, CP 87.00; no result of mnist-")
    of.cells["mnist-hvae-vamp-k10"]["measured"] = 84.0
    verdict = rivals.two_levels_with_categories(of)
    assert (verdict.held, "HVP 84.00 (ahead of HCP)" in verdict.evidence) == ([False], True)


@pytest.fixture
def timed() -> Known:
    """Make CP at K = 10 beside longer rivals: its step takes two of VAE's, its start half the training."""
    of = known(**{f"mnist_cpvae_k{k}": 87.0 for k in (10, 150, 500)})
    of.cells["mnist-cpvae-k10"] |= {"step": 2.0, "start_share": 0.5}
    for name in ("mnist-vae-long", "mnist-mog-k10-long", "mnist-vamp-k10-long"):
        of.cells[name] = cell(name, measured=88.0, epochs=360.0)
    of.cells["mnist-cpvae-k10"]["by_seed"][1] = 99.0  # a seed that the others do not have
    return of


def test_rivals_with_the_same_time_are_judged_for_each_number_that_has_them(timed):
    told = ", ".join(f"{method} 88.00 with 100% of CP's time" for method in ("VAE", "MG", "VP"))
    lacking = "; ".join(f"no result of mnist-mog-k{k}-long yet" for k in (150, 500))
    verdict = rivals.below_with_the_same_time(timed)
    assert verdict == Verdict([True], f"K=10: CP 87.00, {told} (seed 0); {lacking}")
    for model, bound in (("mog", 87.5), ("vamp", 87.3)):  # one that is level, and this number of categories fails
        name = f"mnist-{model}-k150-long"
        timed.cells[name] = cell(name, measured=bound, epochs=240.0)
    verdict = rivals.below_with_the_same_time(timed)
    assert (verdict.held, "VP 87.30 with 200% of CP's time (level" in verdict.evidence) == ([True, False], True)
    timed.cells["mnist-mog-k150-long"]["epochs"] = 100.0
    said = "no result of mnist-mog-k150-long with at least 95% of the time of mnist-cpvae-k150 (it had 83%) yet"
    assert said in rivals.below_with_the_same_time(timed).evidence


def test_too_little_time_or_another_seed_is_a_missing_run(timed):
    timed.cells["mnist-vae-long"] = cell("mnist-vae-long", epochs=330.0)
    with pytest.raises(Missing):
        rivals.below_with_the_same_time(timed)
    timed.cells["mnist-vae-long"] = cell("mnist-vae-long", epochs=360.0, by_seed={2: 86.9})
    with pytest.raises(Missing):
        rivals.below_with_the_same_time(timed)


def test_rows_generated_with_the_same_time(timed):
    verdict = rivals.generates_better_with_the_same_time(timed)
    assert (verdict.held, "K=10: Fréchet of CP 20.0, VAE 20.0" in verdict.evidence) == ([False], True)
    for name in timed.cells:
        if name.endswith("-long"):
            timed.cells[name][DISTANCE] = 23.0
    assert held(rivals.generates_better_with_the_same_time, timed) == [True]


def test_full_covariances_have_a_rival_of_their_kind(timed):
    timed.cells["mnist-full-covariance"] = cell(measured=87.5)
    verdict = rivals.full_below_with_the_same_time(timed)
    assert (verdict.held, "VP 88.00 with 300% of CP's time" in verdict.evidence) == ([True], True)
    assert verdict.evidence.endswith("no result of mnist-mog-k10-full yet")
    # a rival that had too little time, or none that is known, does not hide the rest
    for few in ({"epochs": 100.0}, {"epochs": 130.0, "step": None}):
        timed.cells["mnist-mog-k10-full"] = cell("mnist-mog-k10-full", **few)
        verdict = rivals.full_below_with_the_same_time(timed)
        assert (verdict.held, "no result of mnist-mog-k10-full " in verdict.evidence) == ([True], True)
    timed.cells["mnist-mog-k10-full"] = cell("mnist-mog-k10-full", measured=87.4, epochs=130.0)
    verdict = rivals.full_below_with_the_same_time(timed)
    assert "MG with full covariances 87.40 with 108% of CP's time (level" in verdict.evidence
    assert verdict.held == [False]


def test_rivals_trained_as_long(timed):
    timed.cells["mnist-cpvae-k10-long"] = cell(measured=85.7)
    verdict = rivals.below_trained_longer(timed)
    assert (verdict.held, "no result of mnist-cpvae-k150-long" in verdict.evidence) == ([True], True)
    timed.cells["mnist-vae-long"]["by_seed"] = {0: 85.9}
    assert held(rivals.below_trained_longer, timed) == [False]
    with pytest.raises(Missing):
        rivals.below_trained_longer(Known())


# ---------------------------------------------------------------- densities


def density(aggregated: float, uniform: float, dead: int = 0) -> dict[str, Any]:
    return {
        "density": {"aggregated": {"total_variation": aggregated}, "prior": {"total_variation": uniform}},
        "dead": dead,
        "test": {"components_used": 13},
        "total_variation_of_true_rows": 0.013,
    }


NAMES = [f"synthetic-cpvae-k{k}{end}" for k in (2, 150) for end in ("", "-random")]


def of_densities(**named: dict[str, Any]) -> Known:
    return Known(densities={name.replace("_", "-"): found for name, found in named.items()})


def test_modes_are_recovered_within_three_hundredths():
    near, far = density(0.01, 0.2), density(0.3, 0.3)
    assert held(densities.both_modes, Known(densities=dict.fromkeys(NAMES, near))) == [True] * 4
    some = Known(densities=dict.fromkeys(NAMES, near) | {NAMES[1]: far})
    assert sum(densities.both_modes(some).held) == 3
    for value, recovered in ((0.029, True), (0.031, False)):  # the rule for VAE is that for CP
        vae = {"density": {"prior": {"total_variation": value}}}
        assert held(densities.vae_too, of_densities(synthetic_vae=vae)) == [recovered]


def test_excess_is_ignored_only_where_categories_are_dead():
    def judged(found: dict[str, Any]) -> list[bool]:
        return held(densities.excess_ignored, Known(densities=dict.fromkeys(NAMES, found)))

    assert judged(density(0.01, 0.2, 30)) == [True] * 6
    assert judged(density(0.3, 0.3, 30)) == [True, False, False] * 2
    assert judged(density(0.01, 0.2, 5)) == [False, True, True] * 2
    assert judged(density(0.01, 0.2, 0)) == [False, True, False] * 2  # uneven shares make it worse as well


def test_others_struggle_where_they_are_further_than_cp():
    found = {"synthetic-cpvae-k2": density(0.01, 0.01)}
    for model, few, many in (("mog", 0.2, 0.02), ("vamp", 0.02, 0.05)):
        for k, value in ((2, few), (150, many)):
            found[f"synthetic-{model}-k{k}"] = {"density": {"prior": {"total_variation": value}}}
    assert held(densities.others_struggle, Known(densities=found)) == [True, True, False, False]


# ---------------------------------------------------------------- what is generated


def test_a_learned_prior_is_compared_behind_the_same_network():
    of = known(mnist_cpvae_k1=88.0, mnist_mog_k1=88.0, mnist_vae=88.0, mnist_vae_deep=88.0)
    of.cells["mnist-mog-k1"] |= {DISTANCE: 17.0, "coverage": 0.85, "reconstruction_mse": 0.025}
    assert held(generations.prior_helps, of) == [True, True, False, False]
    assert held(generations.reconstructions_alike, of) == [False, True]
    of.cells["mnist-cpvae-k1"] |= {DISTANCE: 17.0, "coverage": 0.81}  # wider, but by chance
    assert held(generations.prior_helps, of) == [True, True, True, False]
    del of.cells["mnist-vae-deep"]
    verdict = generations.prior_helps(of)
    assert (verdict.held, "no result of mnist-vae-deep yet" in verdict.evidence) == ([True, True], True)
    with pytest.raises(Missing):
        generations.prior_helps(Known())


def test_categories_are_digits_where_they_are_pure_and_others_are_not():
    of = known(mnist_cpvae_k10=87.0, mnist_vamp_k10=88.0)
    of.cells[generations.PAPERS] = cell()
    assert held(generations.categories_are_digits, of) == [True, True, False, False]
    of.cells["mnist-vamp-k10"]["purity"] = 0.6
    assert held(generations.categories_are_digits, of) == [True] * 4
    of.cells[generations.PAPERS]["purity"] = 0.65
    assert held(generations.categories_are_digits, of) == [True, False, True, False]


def test_the_accuracy_has_to_be_that_of_the_papers_text_too():
    of = Known(
        {"mnist-cpvae-k10": cell(accuracy=0.97), generations.PAPERS: cell(accuracy=0.95)},
        {},
        {"text": {"mnist-cpvae-k10": 0.946}},
    )
    assert held(generations.accuracy, of) == [True, True]
    of.cells[generations.PAPERS]["accuracy"] = 0.5
    assert held(generations.accuracy, of) == [True, False]


@pytest.fixture
def generated() -> Known:
    cp = [f"{data}-cpvae-k{k}" for data, sizes in SIZES.items() for k in sizes]
    others = [name.replace("cpvae", model) for name in cp for model in ("mog", "vamp", "hvae-vamp")]
    others += [f"{data}-{model}" for data in SIZES for model in ("vae", "hvae")]
    return Known({name: cell(name) for name in [*cp, *others]})


def test_cp_generates_well_where_no_other_is_a_tenth_better(generated):
    rule = generations.good_for_any_number
    assert all(rule(generated).held)
    generated.cells["omniglot-hvae-vamp-k50-random"] = cell(coverage=0.95)  # the better of two starts counts
    assert not all(rule(generated).held)
    del generated.cells["omniglot-hvae-vamp-k50-random"]
    generated.cells["omniglot-hvae"][DISTANCE] = 18.0
    assert not all(rule(generated).held)


def test_others_fail_where_they_are_a_tenth_worse_and_miss_digits(generated):
    assert not any(generations.others_fail_at_ten(generated).held)  # as good, with all digits
    generated.cells.update({f"mnist-{model}-k10": cell(classes_covered=9.0) for model in ("mog", "vamp", "hvae-vamp")})
    generated.cells["mnist-cpvae-k10"] = cell(coverage=0.9, frechet_distance=18.0)
    verdict = generations.others_fail_at_ten(generated)
    assert all(verdict.held)
    assert "3 of 3 are a tenth worse in coverage, 3 of 3 in Fréchet; 3 of 3 miss a digit" in verdict.evidence


def test_vamp_improves_by_more_than_the_chance_of_seeds_and_rows(generated):
    for data, sizes in SIZES.items():
        for i, k in enumerate(sizes):
            generated.cells[f"{data}-vamp-k{k}"][DISTANCE] = 30.0 - 2 * i
            generated.cells[f"{data}-hvae-vamp-k{k}"][DISTANCE] = 25.0
    assert sum(generations.vamp_improves(generated).held) == 7  # 26 beside 25 is within the error of the rows
    generated.cells["mnist-hvae-vamp-k500-random"] = cell("mnist-hvae-vamp-k500-random", frechet_distance=24.0)
    assert all(generations.vamp_improves(generated).held)
    for k in SIZES["mnist"]:
        generated.cells[f"mnist-vamp-k{k}"]["spread"][DISTANCE] = 2.0  # seeds differ by more than that
    assert not any(generations.vamp_improves(generated).held[:2])
