"""The page of the field benchmark: its rule, and tables made from its lines alone."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from field_peers import GENERAL, PEERS
from field_sets import DEVELOPMENT, SETS

from cpvae.study import markdown

TIE = 0.01  # of accuracy: within it, two systems are level
OWN = ("cpvae", "start")
SYSTEMS = (*OWN, *PEERS)
OUTCOMES = ("loss", "tie", "win")
TITLES = {"loss": "Losses", "tie": "Ties", "win": "Wins"}
Line = dict[str, Any]

# -- lines -------------------------------------------------------------------------------------------------------------


def key(line: Line) -> tuple[str, int, str]:
    """Tell what a line is of: set, seed, system."""
    return line["set"], line["seed"], line["system"]


def read(path: Path) -> list[Line]:
    """Read a file of lines: of those on the same set, seed and system the last; none where there is no file."""
    if not path.exists():
        return []
    lines = [json.loads(text) for text in path.read_text().splitlines() if text.strip()]
    return list({key(line): line for line in lines}.values())


def figure_of(line: Line, figure: str) -> float | None:
    """Take a figure of a line, or None; where cpvae was refused its accuracy is 0."""
    refused = figure == "accuracy" and line["system"] == "cpvae" and line.get("refused")
    return 0.0 if refused else line.get(figure)


# -- the rule ----------------------------------------------------------------------------------------------------------


def outcome(own: float, best: float) -> str:
    """Call a difference of accuracy a win, a tie or a loss.

    >>> outcome(0.90, 0.88), outcome(0.90, 0.91), outcome(0.90, 0.92)
    ('win', 'tie', 'loss')
    """
    difference = own - best
    if abs(difference) <= TIE + 1e-9:
        return "tie"
    return "win" if difference > 0 else "loss"


@dataclass(frozen=True)
class Verdict:
    """A set as its lines of results tell of it.

    Attributes:
        name: of the set.
        lines: of each system, one for each seed.
    """

    name: str
    lines: dict[str, list[Line]]

    def median(self, system: str, figure: str) -> float | None:
        """Take the median over seeds, or None; where cpvae was refused its accuracy is 0."""
        known = [value for line in self.lines.get(system, []) if (value := figure_of(line, figure)) is not None]
        return statistics.median(known) if known else None

    @property
    def judged(self) -> bool:
        """Tell whether the set has labels, cpvae and all general peers were run on it, and one of these gave groups."""
        run = all(name in self.lines for name in ("cpvae", *GENERAL))
        return run and self.median("cpvae", "accuracy") is not None and bool(self.peers)

    @property
    def peers(self) -> dict[str, float]:
        """The median accuracy of each general peer."""
        found = {name: self.median(name, "accuracy") for name in GENERAL}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def best(self) -> str:
        """The general peer with the best median accuracy: chosen by the labels, to cpvae's disadvantage."""
        return max(self.peers, key=lambda name: self.peers[name])

    @property
    def difference(self) -> float:
        """The accuracy of cpvae less that of the best peer."""
        return (self.median("cpvae", "accuracy") or 0.0) - self.peers[self.best]

    @property
    def outcome(self) -> str:
        """Win, tie or loss."""
        return outcome(self.median("cpvae", "accuracy") or 0.0, self.peers[self.best])

    @property
    def start_less_fit(self) -> float | None:
        """The median over seeds of the start's accuracy less that of the fit, on the same rows."""
        pairs = [(line.get("accuracy"), line.get("fit_accuracy")) for line in self.lines.get("start", [])]
        known = [start - fit for start, fit in pairs if start is not None and fit is not None]
        return statistics.median(known) if known else None


def verdicts(lines: Iterable[Line]) -> list[Verdict]:
    """Gather the lines of each set, in the order of the table of sets."""
    lines = list(lines)
    found = []
    for name in SETS:
        own: dict[str, list[Line]] = {}
        for line in sorted((line for line in lines if line["set"] == name), key=lambda line: line["seed"]):
            own.setdefault(line["system"], []).append(line)
        if own:
            found.append(Verdict(name, own))
    return found


# -- the page ----------------------------------------------------------------------------------------------------------

RULE = f"""# Sets of the field

CP-VAE with its defaults beside what a person would use in its place, on sets that people bring: cells, documents,
tables, signals, pictures. Every number on this page comes from one file of results.

```sh
pip install 'cpvae[benchmarks]'
python benchmarks/field.py            # all sets, seeds 0, 1 and 2; what has a line is not run again
python benchmarks/field.py --render   # this page, from the file
```

The protocol, with the rule of what is a win, was fixed before the runs:

- All systems are told K, the number of classes, but for HDBSCAN and Leiden, which find a number. The rows and the seed
  are all else that CP-VAE gets. That a row of a MATLAB file is a picture is said to the loader.
- Labels score and do nothing else. Accuracy is one-to-one (Hungarian), over all rows that have a label.
- The figure of a system is its median over seeds. A fit of CP-VAE that was refused or crashed has accuracy 0.
- The best peer is the one of {", ".join(GENERAL)} with the best median. The labels choose it, set by set.
- CP-VAE **wins** where it is more than {100 * TIE:.0f} point of accuracy above the best peer, and **loses** where it is
  more than {100 * TIE:.0f} point below. In between it is a **tie**.
- "Start less fit" compares the categories that a fit began with to those it ended with, on the rows that have both.
- Seconds are those of one thread, fit and answer together, after UMAP was compiled. The ratio is to k-means on the same
  rows in the same process.
- Recipes were compared on the development half: {", ".join(DEVELOPMENT)}.
  The other sets are the confirmation half.

Peers get rows as a person would encode them (`benchmarks/field_peers.py`). Their encoding of tables, and the settings
of StepMix, were settled after a look at the peers' accuracy on penguins, dermatology, heart.h and soybean. CP-VAE gets
what `cpvae.datasets.load` reads. The tools of a field are Leiden for cells and documents, StepMix for tables, and
k-means by dynamic time warping (tslearn) for signals; they have a column of their own and decide nothing.
"""


def page(lines: Sequence[Line], source: str) -> str:
    """Write the whole page.

    Args:
        source: of the lines, as the page links to it.
    """
    found = verdicts(lines)
    judged = [one for one in found if one.judged]
    parts = [RULE, _summary(judged)]
    left = [one.name for one in found if not one.judged]
    parts += [f"Without a verdict, for want of labels or of a peer that was run: {', '.join(left)}.\n"] if left else []
    for name in OUTCOMES:
        own = sorted((one for one in judged if one.outcome == name), key=lambda one: one.difference)
        parts.append(f"## {TITLES[name]}\n\n{_contest(own) if own else 'None.' + chr(10)}")
    parts.append(f"## Every system\n\nMedian accuracy over seeds.\n\n{_systems(found)}")
    parts.append(f"## What rows were taken for\n\n{_likelihoods(found)}")
    refused = _refused(found)
    parts += [f"## Refused\n\n{refused}"] if refused else []
    return "\n".join([*parts, _evidence(lines, source)])


def _summary(judged: Sequence[Verdict]) -> str:
    """Count outcomes, over both halves and each."""
    halves: dict[str, Callable[[Verdict], bool]] = {
        "all": lambda one: True,
        "development": lambda one: SETS[one.name].half == "development",
        "confirmation": lambda one: SETS[one.name].half == "confirmation",
    }
    rows = []
    for half, belongs in halves.items():
        own = [one for one in judged if belongs(one)]
        counts = [sum(one.outcome == name for one in own) for name in OUTCOMES]
        moved = [one.start_less_fit for one in own]
        worse = sum(value is not None and value > TIE + 1e-9 for value in moved)
        rows.append([half, str(len(own)), *map(str, counts), f"{worse} of {sum(value is not None for value in moved)}"])
    head = ("half", "sets", "losses", "ties", "wins", "fits more than a point below their start")
    return markdown.table(head, rows)


def _contest(found: Sequence[Verdict]) -> str:
    """Tabulate sets of one outcome, the worst first."""
    rows = []
    for one in found:
        given = SETS[one.name]
        tools = [name for name, peer in PEERS.items() if peer.fields and one.median(name, "accuracy") is not None]
        rows.append(
            [
                f"{one.name}, {given.field}, {given.half}",
                _size(one),
                _spread(one.lines["cpvae"]),
                _number(one.median("start", "accuracy")),
                _signed(one.start_less_fit),
                f"{one.peers[one.best]:.3f} {one.best}",
                _signed(one.difference),
                ", ".join(f"{_number(one.median(name, 'accuracy'))} {name}" for name in tools) or "-",
                f"{_number(one.median('cpvae', 'ari'))} / {_number(one.median('cpvae', 'nmi'))}",
                f"{_number(one.median(one.best, 'ari'))} / {_number(one.median(one.best, 'nmi'))}",
                _number(one.median("cpvae", "seconds"), 0),
                _number(one.median("cpvae", "ratio"), 0),
            ]
        )
    head = (
        "set, field, half",
        "rows x columns, K",
        "cpvae: median (range; seeds)",
        "its start",
        "start less fit",
        "best peer",
        "cpvae less peer",
        "the field's own tool",
        "cpvae: ARI / NMI",
        "best peer: ARI / NMI",
        "seconds",
        "times k-means",
    )
    return markdown.table(head, rows)


def _systems(found: Sequence[Verdict]) -> str:
    """Tabulate the accuracy of all systems."""
    shown = [name for name in SYSTEMS if any(name in one.lines for one in found)]
    rows = [[one.name, *(_number(one.median(name, "accuracy")) for name in shown)] for one in found]
    return markdown.table(("set", *shown), rows)


def _likelihoods(found: Sequence[Verdict]) -> str:
    """Tabulate the likelihoods chosen, why, and the bounds of held-out rows."""
    rows = []
    for one in found:
        fits = [line for line in one.lines.get("cpvae", []) if not line.get("refused")]
        if fits:
            bound = one.median("cpvae", "held_out_bound")
            rows.append([one.name, fits[0]["likelihood"], fits[0]["why"], _number(bound, 2), _labels(fits[0])])
    head = ("set", "likelihood", "why", "bound on held-out rows, nats", "labelled rows")
    note = "The held-out rows are the tenth that the fit keeps back, by which it chooses among epochs."
    return f"{markdown.table(head, rows)}\n{note}\n"


def _refused(found: Sequence[Verdict]) -> str:
    """List what could not be run, and why."""
    rows = [
        [one.name, system, str(line["seed"]), markdown.plain(line["refused"])]
        for one in found
        for system, lines in one.lines.items()
        for line in lines
        if line.get("refused")
    ]
    return markdown.table(("set", "system", "seed", "why"), rows) if rows else ""


def _evidence(lines: Sequence[Line], source: str) -> str:
    """Say where the numbers are from."""
    commits = ", ".join(sorted({line["commit"] for line in lines if line["system"] in OWN}))
    places = "; ".join(sorted({line["device"] for line in lines if line["system"] in OWN}))
    return f"From [{Path(source).stem}]({source}); cpvae at {commits or '(none)'}, on {places or '(none)'}.\n"


def _size(one: Verdict) -> str:
    """The rows, columns and classes of a set."""
    line = next(line for lines in one.lines.values() for line in lines if "n_rows" in line)
    return f"{line['n_rows']:,} x {line['n_columns']:,}, {line['n_components']}"


def _labels(line: Line) -> str:
    return f"{line['n_judged']:,} of {line['n_rows']:,}"


def _spread(lines: Sequence[Line]) -> str:
    """The median accuracy of some lines, their range and number."""
    values = [value for line in lines if (value := figure_of(line, "accuracy")) is not None]
    return f"**{statistics.median(values):.3f}** ({min(values):.3f} to {max(values):.3f}; {len(values)})"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
