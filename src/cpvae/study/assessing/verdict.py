"""The words of an assessment: what speaks for showing synthetic rows, and what against."""

from __future__ import annotations

from dataclasses import dataclass

from cpvae.errors import counted
from cpvae.study.assessing.closeness import UNLIKELY, Closeness
from cpvae.study.assessing.learners import TwoSamples, Usefulness
from cpvae.study.assessing.shapes import Likeness
from cpvae.words.phrases import listed, percent, short

SHORT_OF = 0.05  # of shapes and trends, below what real rows would have
HARD, EASY = 0.6, 0.75  # area under the curve up to which rows are hard to tell, and from which they are easy to
LESS_USEFUL = 0.05  # of accuracy or R2
FEW = 30  # held-out rows below which figures say little
NAMED = 3  # columns in a sentence
NAMED_COPIES = 10
NO_PROOF = (
    "These checks look for copies and for differences. They do not prove that nothing can be learned about a person "
    "from the rows."
)


@dataclass(frozen=True)
class Verdict:
    """Conclusion about synthetic rows.

    Attributes:
        conclusion: in a sentence.
        speaks_for, speaks_against: sentences.
        notes: what was done to the rows, and what limits the figures.
    """

    conclusion: str
    speaks_for: tuple[str, ...]
    speaks_against: tuple[str, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        parts = [self.conclusion]
        for head, sentences in (
            ("What speaks for showing them:", self.speaks_for),
            ("What speaks against:", self.speaks_against),
            ("To know:", self.notes),
        ):
            parts += [head, *(f"- {sentence}" for sentence in sentences)] if sentences else []
        return "\n".join(parts)


def verdict(
    closeness: Closeness,
    shapes: Likeness,
    trends: Likeness | None,
    test: TwoSamples,
    useful: Usefulness | None,
    notes: list[str],
) -> Verdict:
    """Weigh the figures. Closeness to training rows decides; the rest says how like the real rows they are."""
    private = [_copies(closeness), _nearest(closeness)]
    like = [_shapes(shapes), *([] if trends is None else [_trends(trends)])]
    like += [_test(test)] if test.auc.high >= 1 - HARD else []  # worse than a guess: a row and its copy in two folds
    like += [] if useful is None else [_useful(useful)]
    faults = [text for good, text in private if not good]
    unlike = [text for good, text in like if not good]
    if faults:
        conclusion = (
            "These rows should not be shown: some of them are, or are close to, rows that the model learned from."
        )
    elif unlike:
        conclusion = "These rows may be shown: no copies were found. But they are not quite like the real rows."
    else:
        conclusion = "These rows may be shown: no copies were found, and they are like the real rows."
    few = [f"Only {counted(closeness.held_out, 'held-out row')}: the figures that rest on them say little."]
    return Verdict(
        conclusion,
        tuple(text for good, text in [*private, *like] if good),
        (*faults, *unlike),
        (*notes, *(few if closeness.held_out < FEW else []), NO_PROOF),
    )


def _copies(found: Closeness) -> tuple[bool, str]:
    chance = f"{found.real_copies:,} of {found.real:,} real rows are as close to another real row"
    copies = sorted(found.memorised, key=lambda copy: not copy.exact)
    if not copies:
        close = f"{len(found.copies):,} of {found.rows:,} are far closer to one of them than to the next; {chance}"
        return True, f"No row is a copy of a training row ({close})."
    named = [
        f"{copy.row} ({'equal to' if copy.exact else 'like'} training row {copy.training_row})"
        for copy in copies[:NAMED_COPIES]
    ]
    more = f" and {len(copies) - NAMED_COPIES:,} more" if len(copies) > NAMED_COPIES else ""
    which = f"row{'s' * (len(copies) > 1)} {', '.join(named)}{more}"
    are = "are taken for copies" if len(copies) > 1 else "is taken for a copy"
    return False, f"{len(copies):,} of {found.rows:,} rows {are} of a training row ({chance}): {which}."


def _nearest(found: Closeness) -> tuple[bool, str]:
    text = (
        f"{percent(found.to_training)} of the rows have a training row as their closest real row; "
        f"{percent(found.expected)} are expected"
    )
    if found.p < UNLIKELY and found.to_training > found.expected:
        return False, f"{text}: they keep close to the rows that the model learned from (p = {found.p:.1g})."
    return True, f"{text}, as held-out rows are as close as training rows."


def _shapes(found: Likeness) -> tuple[bool, str]:
    return _like(found, "The shapes of columns", "of columns")


def _trends(found: Likeness) -> tuple[bool, str]:
    return _like(found, "The trends of pairs of columns", "of pairs")


def _like(found: Likeness, what: str, of: str) -> tuple[bool, str]:
    text = f"{what} are like the real ones to {found.mean:.3f}; real rows would reach {found.expected:.3f}"
    if found.shortfall <= SHORT_OF:
        return True, f"{text}."
    worst = listed([f"{' and '.join(map(short, names))} ({value:.2f})" for names, value in found.worst(NAMED)])
    return False, f"{text}. The lowest figures {of}: {worst}."


def _test(found: TwoSamples) -> tuple[bool, str]:
    figures = f"area under the curve {found.auc.value:.2f}, {found.auc.low:.2f} to {found.auc.high:.2f}; 0.5 is a guess"
    if found.auc.value <= HARD:
        return True, f"A classifier hardly tells them from real rows ({figures})."
    how = "easily tells" if found.auc.value >= EASY else "often tells"
    return False, f"A classifier {how} them from real rows ({figures})."


def _useful(found: Usefulness) -> tuple[bool, str]:
    what = "the category" if not found.target else short(found.target)
    measure = {"accuracy": "accuracy", "R2": "explained share of the variance"}[found.measure]
    text = (
        f"What is learned from them predicts {what} of held-out rows with {measure} {found.synthetic:.3f}; what is "
        f"learned from the training rows with {found.real:.3f}"
    )
    less = found.difference.value < -LESS_USEFUL and found.difference.high < 0
    return not less, f"{text}."
