"""A claim, the conditions of its rule, and how it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from paper.claims.known import Known, Missing

OPEN = "not run yet"


class Verdict(NamedTuple):
    """The conditions of a rule, each true or false, and the numbers behind them."""

    held: Sequence[bool]
    evidence: str


class Claim(NamedTuple):
    """A claim and its rule.

    Attributes:
        text: the claim in a sentence.
        where: the place in the paper.
        rule: the function that judges it.
        universal: whether it speaks of all cases, so that one exception refutes it.
    """

    text: str
    where: str
    rule: Callable[[Known], Verdict]
    universal: bool = False


class Judged(NamedTuple):
    """A claim and its verdict.

    Attributes:
        claim: the claim.
        held: how many conditions hold; None where a run is missing.
        of: how many conditions there are.
        evidence: the numbers.
    """

    claim: Claim
    held: int | None
    of: int
    evidence: str

    @property
    def binary(self) -> bool:
        """Tell whether the claim holds or does not, with nothing between."""
        return self.claim.universal or self.of == 1

    @property
    def holds(self) -> bool:
        """Tell whether all conditions hold."""
        return self.held == self.of

    def status(self, yes: str, no: str) -> str:
        """Say how the claim stands: one of two words, or how many conditions hold."""
        if self.held is None:
            return OPEN
        if self.binary:
            return yes if self.holds else no
        return f"{self.held} of {self.of}"


def judge(claims: Sequence[Claim], known: Known) -> list[Judged]:
    """Judge every claim by its rule."""
    found = []
    for claim in claims:
        try:
            verdict = claim.rule(known)
        except Missing as error:
            found.append(Judged(claim, None, 0, f"no result of {error.args[0]} yet"))
            continue
        held, of = sum(verdict.held), len(verdict.held)
        told = f" ({held} of {of} conditions)" if of > 1 and claim.universal else ""
        found.append(Judged(claim, held, of, verdict.evidence + told))
    return found
