"""The page of the imputation benchmark: its protocol, and tables made from its lines alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from field_page import Line
from imputation_lines import MECHANISMS, OWN, SYSTEMS

from cpvae.study import markdown

RIVAL = "IterativeImputer"
WITHIN = (0.88, 0.92)  # between which an interval of 90 % holds what it says
Case = tuple[str, str, float]  # set, mechanism, share

RULE = f"""# Missing cells filled

This page compares `impute` of CP-VAE with the imputers of scikit-learn. Cells of a table are hidden, filled, and
compared with the truth. Every number on this page comes from one file of results.

```sh
python benchmarks/imputation.py            # all sets, seeds 0, 1 and 2; a job that has a line is not run again
python benchmarks/imputation.py --render   # this page, from the file
```

- Every system gets a table with holes, learns from it, and fills it. CP-VAE has its defaults, and K is the number of
  classes of the set. Columns with labels are left out.
- Cells are hidden "at random", all with the same probability, or "not at random". In the second case the probability
  grows in proportion to the rank of the cell in its column, from zero to twice the share: high numbers are hidden more
  often than low ones, and rare levels more often than frequent ones. No system can know that from the cells it sees.
- RMSE is over all hidden numbers, in standard deviations of each column. Accuracy is over all hidden levels. CP-VAE is
  judged by `impute(X, mean=True)`.
- An interval goes from the second smallest of 39 draws of a cell to the second largest. It holds 90 % of the true
  values if the draws are right. Both ends belong to it, so that it holds more where numbers are whole or repeat. "Ties
  drawn" corrects this: a true value that equals draws gets a random rank among them. The summary counts it. Width is in
  standard deviations of the column.
- Draws of IterativeImputer are those of its posterior, each from a chain of its own. Its regressions see a column for
  each level but the first. "Trees" are boosted ones, HistGradientBoostingRegressor, which give no draws. All numbers
  are standardised first.
- A set with more than 1,000 rows gives 1,000 of them, drawn by the seed. Each number is the median over seeds.
- CP-VAE **loses** a case if its RMSE is higher than that of {RIVAL} with its defaults.
"""


def key(line: Line) -> tuple[str, str, float, int, str]:
    """Name what a line is about: set, mechanism, share, seed, system."""
    return line["set"], line["mechanism"], line["share"], line["seed"], line["system"]


@dataclass(frozen=True)
class Result:
    """A table with a share of holes: the lines of each system, one for each seed."""

    case: Case
    lines: dict[str, list[Line]]

    def median(self, system: str, figure: str) -> float | None:
        """Take the median over seeds; None where a system has no such figure."""
        known = [value for line in self.lines.get(system, []) if (value := line.get(figure)) is not None]
        return statistics.median(known) if known else None

    @property
    def difference(self) -> float | None:
        """Work out the RMSE of CP-VAE less that of its rival: above zero, it loses."""
        own, other = (self.median(system, "rmse") for system in (OWN, RIVAL))
        return None if own is None or other is None else own - other


def results(lines: Sequence[Line]) -> list[Result]:
    """Gather the lines of each case, the worst first; cases that cannot be judged come last."""
    found: dict[Case, dict[str, list[Line]]] = {}
    for line in lines:
        case = line["set"], line["mechanism"], line["share"]
        found.setdefault(case, {}).setdefault(line["system"], []).append(line)
    every = [Result(case, own) for case, own in found.items()]
    return sorted(every, key=lambda one: (one.difference is None, -(one.difference or 0.0)))


def page(lines: Sequence[Line], source: str) -> str:
    """Write the whole page.

    Args:
        lines: all lines.
        source: address of their file, as the page links to it.
    """
    found = results(lines)
    parts = [RULE, _summary(found)]
    judged = [one for one in found if one.difference is not None]
    for title, own in (
        ("Losses", [one for one in judged if (one.difference or 0.0) > 0]),
        ("Wins", [one for one in judged if (one.difference or 0.0) <= 0]),
        ("Not judged", [one for one in found if one.difference is None]),
    ):
        if own or title == "Losses":
            tables = f"{_rmse(own)}\n{_intervals(own)}" if own else "None.\n"
            parts.append(f"## {title}\n\n{tables}")
    refused = [line for line in lines if "refused" in line]
    if refused:
        rows = [[*map(str, key(line)), markdown.plain(line["refused"])] for line in refused]
        parts.append(f"## Refused\n\n{markdown.table(('set', 'holes', 'share', 'seed', 'system', 'why'), rows)}")
    return "\n".join([*parts, _evidence(lines, source)])


def _summary(found: Sequence[Result]) -> str:
    """Count cases by mechanism: losses to the rival, best systems, and intervals that hold what they say."""
    rows = []
    for mechanism in MECHANISMS:
        own = [one for one in found if one.case[1] == mechanism and one.difference is not None]
        lost = sum((one.difference or 0.0) > 0 for one in own)
        cells = [mechanism, str(len(own)), str(lost)]
        for figure, best in (("rmse", min), ("accuracy", max)):
            values = [{s: v for s in SYSTEMS if (v := one.median(s, figure)) is not None} for one in own]
            cells.append(str(sum(OWN in one and one[OWN] == best(one.values()) for one in values)))
        for system in (OWN, RIVAL):
            shares = [v for one in own if (v := one.median(system, "coverage_drawn")) is not None]
            inside = sum(WITHIN[0] <= v <= WITHIN[1] for v in shares)
            middle = f", median {_number(statistics.median(shares))}" if shares else ""
            cells.append(f"{inside} of {len(shares)}{middle}")
        rows.append(cells)
    held = f"intervals that hold {WITHIN[0]:.0%} to {WITHIN[1]:.0%}"
    head = (
        "holes",
        "cases",
        "losses",
        "best RMSE of all",
        "best accuracy of all",
        f"cpvae: {held}",
        f"{RIVAL}: {held}",
    )
    return markdown.table(head, rows)


def _name(one: Result) -> list[str]:
    name, mechanism, share = one.case
    return [name, f"{share:.0%} {mechanism}"]


def _rmse(found: Sequence[Result]) -> str:
    """Tabulate RMSE and accuracy of all systems."""
    rows = []
    for one in found:
        pairs = [f"{_number(one.median(s, 'rmse'))} / {_number(one.median(s, 'accuracy'))}" for s in SYSTEMS]
        rows.append([*_name(one), *pairs])
    head = ("set", "holes", *(f"{system}: RMSE / accuracy" for system in SYSTEMS))
    return markdown.table(head, rows)


def _intervals(found: Sequence[Result]) -> str:
    """Tabulate the intervals of the systems that draw."""
    rows = []
    for one in found:
        cells = []
        for system in (OWN, RIVAL):
            cells += [_number(one.median(system, figure)) for figure in ("coverage", "coverage_drawn", "width")]
            cells.append(_number(one.median(system, "seconds"), 0))
        rows.append([*_name(one), *cells])
    figures = ("coverage of 90 %", "ties drawn", "width", "CPU seconds")
    head = ("set", "holes", *(f"{system}: {figure}" for system in (OWN, RIVAL) for figure in figures))
    return markdown.table(head, rows)


def _evidence(lines: Sequence[Line], source: str) -> str:
    """Name the source of the numbers."""
    commits = ", ".join(sorted({line["commit"] for line in lines}))
    places = "; ".join(sorted({line["device"] for line in lines}))
    seeds = ", ".join(map(str, sorted({line["seed"] for line in lines})))
    told = f"seeds {seeds or '(none)'}; code at {commits or '(none)'}, on {places or '(none)'}"
    return f"From [{Path(source).stem}]({source}), {told}.\n"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
