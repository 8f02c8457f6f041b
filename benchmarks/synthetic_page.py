"""The page of the benchmark of synthetic tables: its rules, and tables made from its lines alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from field_page import Line
from synthetic_systems import OWN, REAL, SYSTEMS

from cpvae.study import markdown

TIE = 0.01  # figures that differ by no more are level
PEERS = tuple(name for name in SYSTEMS if name not in (OWN, REAL))


@dataclass(frozen=True)
class Figure:
    """A figure of the page: where it is in a line, and which way is better.

    Attributes:
        best: the value that is best.
        above: only values above the best one are worse.
        ratio: compare by a ratio instead of a difference.
    """

    name: str
    key: str
    best: float
    above: bool = False
    ratio: bool = False

    def cost(self, value: float) -> float:
        """Compute the distance of a value from the best one."""
        return max(0.0, value - self.best) if self.above else abs(value - self.best)


FIGURES = (
    Figure("shapes", "shapes", 1.0),
    Figure("trends", "trends", 1.0),
    Figure("C2ST", "c2st_auc", 0.5),
    Figure("TSTR", "train_on_synthetic", 1.0),
    Figure("closest is training", "closest_is_training", 0.5, above=True),
    Figure("seconds", "seconds", 0.0, ratio=True),
    Figure("MiB", "mebibytes", 0.0, ratio=True),
)
QUALITY = FIGURES[:5]
RULE = f"""# Synthetic tables

This page compares new rows of CP-VAE with those of TVAE, CTGAN and a Gaussian copula. All systems have their
defaults. One judge looks at all of them: [`cpvae assess`](assess.md). Every number on this page comes from one file
of results.

```sh
python benchmarks/synthetic.py            # four sets, seeds 0, 1 and 2; a job that has a line is not run again
python benchmarks/synthetic.py --render   # this page, from the file
```

- Half of the rows are fitted, the other half held out, by the seed. Each system draws as many rows as it learned
  from.
- CP-VAE gets K, the number of classes of the set. Labels are a column like the others.
- TVAE and CTGAN come from the package ctgan, the copula from copulas. Their licence is the Business Source License
  1.1, which is no open one: they are used for this page only (`benchmarks/synthetic_systems.py` says how to install
  them).
- Rows of CP-VAE have zeros and round sums as often as the rows of the fit ([new rows](tables.md#new-rows)).
- CP-VAE learns from rows with missing cells. For the peers, these cells were filled by draws from their column.
  Before the judge looks, all new rows lose cells as real rows do.
- **Shapes** and **trends** of pairs are the figures of SDMetrics, 1 at best. **C2ST** is the area under the curve
  of a classifier that tells new rows from held-out ones, 0.5 at best. **TSTR** is the accuracy with which the label
  of held-out rows is predicted after learning from new rows. **Closest is training**: the share of new rows whose
  closest real row is a training row; above 0.5 rows were learned by heart. **Nearer**: how often a new row is nearer to
  a training row than a held-out row is; above 0.5 new rows are too near, below it they are far from real rows. Rows
  that are far from all real rows are closest to either half by chance, whatever a system has learned: so read the share
  beside C2ST and "nearer".
- Each number is the median over seeds. CP-VAE is **behind** where a peer is nearer to the best value by more than
  {TIE:.2f}, or needs less time or memory. "Training rows" are the rows of the fit themselves: as good as
  figures get, and all of them copies.
- Seconds are those of the processor on one thread, for fit and draws. Memory is the peak of the process, less what
  it had before. Most seconds of CP-VAE are gradient steps: its layers are 300 wide and a step takes 100 rows, where
  those of TVAE are 128 wide and a step takes 500.
"""


@dataclass(frozen=True)
class Contest:
    """A set, and the lines of each system."""

    name: str
    lines: dict[str, list[Line]]

    def median(self, system: str, key: str) -> float | None:
        """Take the median over seeds, or None."""
        known = [line[key] for line in self.lines.get(system, []) if line.get(key) is not None]
        return statistics.median(known) if known else None

    def behind(self, figure: Figure) -> tuple[str, float, float] | None:
        """Find the best peer in a figure, if it is better than CP-VAE: its name, CP-VAE's value and its own."""
        own = self.median(OWN, figure.key)
        found = {peer: value for peer in PEERS if (value := self.median(peer, figure.key)) is not None}
        if own is None or not found:
            return None
        best = min(found, key=lambda peer: figure.cost(found[peer]))
        less = figure.cost(own) - figure.cost(found[best])
        return (best, own, found[best]) if less > (0 if figure.ratio else TIE + 1e-9) else None


def contests(lines: Sequence[Line]) -> list[Contest]:
    """Gather the lines of each set, in the order of the file."""
    found: dict[str, dict[str, list[Line]]] = {}
    for line in lines:
        found.setdefault(line["set"], {}).setdefault(line["system"], []).append(line)
    return [Contest(name, own) for name, own in found.items()]


def page(lines: Sequence[Line], source: str) -> str:
    """Write the whole page.

    Args:
        lines: all lines.
        source: address of their file, as the page links to it.
    """
    found = contests(lines)
    parts = [RULE, f"## Where CP-VAE is behind\n\n{_behind(found)}", f"## Beside TVAE\n\n{_beside(found)}"]
    parts += [f"## {one.name}\n\n{_table(one)}" for one in found]
    refused = [
        [line["set"], line["system"], str(line["seed"]), markdown.plain(line["refused"])]
        for line in lines
        if "refused" in line
    ]
    parts += [f"## Refused\n\n{markdown.table(('set', 'system', 'seed', 'why'), refused)}"] if refused else []
    commits = ", ".join(sorted({line["commit"] for line in lines if line["system"] == OWN}))
    packages = {
        f"{name} {version}"
        for line in lines
        for name, version in line["versions"].items()
        if name in ("ctgan", "copulas", "rdt")
    }
    return "\n".join(
        [*parts, f"From [{Path(source).stem}]({source}); cpvae at {commits}; {', '.join(sorted(packages))}.\n"]
    )


def _behind(found: Sequence[Contest]) -> str:
    """Tabulate the figures in which a peer is better, quality first."""
    rows = []
    for figure in FIGURES:
        for one in found:
            lost = one.behind(figure)
            if lost is not None:
                peer, own, other = lost
                rows.append([figure.name, one.name, _written(own, figure), _written(other, figure), peer])
    return markdown.table(("figure", "set", "cpvae", "best peer", "which"), rows) if rows else "Nowhere.\n"


def _beside(found: Sequence[Contest]) -> str:
    """Count the figures in which CP-VAE is behind, level with or ahead of TVAE, and compare their seconds."""
    rows = []
    for one in found:
        own, other = ([one.median(name, figure.key) for figure in QUALITY] for name in (OWN, "TVAE"))
        less = [
            figure.cost(b) - figure.cost(a)
            for figure, a, b in zip(QUALITY, own, other, strict=True)
            if a is not None and b is not None
        ]
        if less:
            seconds = [one.median(name, "seconds") for name in (OWN, "TVAE")]
            counts = (sum(x < -TIE for x in less), sum(abs(x) <= TIE for x in less), sum(x > TIE for x in less))
            times = "-" if None in seconds else f"{seconds[0] or 0:,.0f} : {seconds[1] or 0:,.0f}"
            rows.append([one.name, *map(str, counts), times])
    return markdown.table(("set", "behind", "level", "ahead", "seconds, cpvae : TVAE"), rows) if rows else "No lines.\n"


def _table(one: Contest) -> str:
    """Tabulate all systems on a set."""
    rows = []
    for system in (name for name in SYSTEMS if name in one.lines):
        cells = [_written(one.median(system, figure.key), figure) for figure in FIGURES]
        copies, seeds = one.median(system, "memorised"), len(one.lines[system])
        near = one.median(system, "nearer_than_held_out")
        cells.insert(len(QUALITY), "-" if near is None else f"{near:.3f}")
        rows.append([system, *cells, "-" if copies is None else f"{copies:,.0f}", str(seeds)])
    line = next(line for lines in one.lines.values() for line in lines if "n_rows" in line)
    names = {"shapes": "shapes_of_real_rows", "trends": "trends_of_real_rows", "TSTR": "train_on_real"}
    reached = ", ".join(f"{name} {line[key]:.3f}" for name, key in names.items() if key in line)
    about = (
        f"{line['n_rows']:,} rows of {line['n_columns']} columns to fit, {100 * line['missing']:.1f} % of the cells "
        f"missing. Real rows would reach, with seed {line['seed']}: {reached}. Label: {line['target']}.\n"
    )
    names_shown = [figure.name for figure in FIGURES]
    names_shown.insert(len(QUALITY), "nearer")
    return f"{about}\n{markdown.table(('system', *names_shown, 'copies', 'seeds'), rows)}"


def _written(value: float | None, figure: Figure) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:,.0f}" if figure.ratio and value >= 10 else f"{value:,.1f}" if figure.ratio else f"{value:.3f}"


def said(line: Line) -> str:
    """Print a line in words, for the terminal."""
    head = f"{line['set']:12} seed {line['seed']}  {line['system']:16}"
    if "refused" in line:
        return f"{head} refused: {line['refused']}"
    return head + "  ".join(f"{figure.name} {_written(line.get(figure.key), figure)}" for figure in FIGURES)
