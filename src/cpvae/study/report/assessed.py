"""Answer that `cpvae assess` last gave of new rows, where it has given one."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cpvae.errors import InputError
from cpvae.files import read_json
from cpvae.fitting import runs
from cpvae.study.report.parts import Table
from cpvae.words.phrases import plain

ADVICE = "run cpvae assess again"


@dataclass(frozen=True)
class Assessed:
    """The words and numbers of an assessment.

    Attributes:
        conclusion: in a sentence.
        real, synthetic: the files.
        parts: headings with sentences.
        figures: all numbers.
    """

    conclusion: str
    real: str
    synthetic: str
    parts: list[tuple[str, list[str]]]
    figures: Table


def assessed(run: Path) -> Assessed | None:
    """Read what a run keeps of the last assessment; None if there was none.

    Raises:
        InputError: the file is no assessment.
    """
    path = run / runs.ASSESSMENT
    if not path.is_file():
        return None
    found = read_json(path, "an assessment", ADVICE)
    heads = {"for": "What speaks for it", "against": "What speaks against it", "notes": "To know"}
    try:
        parts = [(head, [str(one) for one in found[key]]) for key, head in heads.items() if found[key]]
        figures = [(str(name), [_cell(value)]) for name, value in found["figures"].items()]
        conclusion, real, synthetic = (str(found[key]) for key in ("conclusion", "real", "synthetic"))
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is no assessment; {ADVICE}") from error
    return Assessed(conclusion, real, synthetic, parts, Table("Figures of the assessment", ["value"], figures))


def _cell(value: Any) -> str:
    return plain(value) if isinstance(value, float) else str(value)
