"""Cells as people write them: marks for what is missing, and numbers with commas, points, blanks, percent signs.

Both doors, the loaders and `cpvae.data.schema`, read a column of text by `read_frame`:

- Marks such as "NA", "n/a", "?" and "-" are missing cells (`MARKS`); where all the other cells are numbers, so are a
  few more (`MARKS_AMONG_NUMBERS`). A "-" beside a "+" is a level.
- A column becomes numbers if all of its other cells are numbers in one way of writing: ``1,200.5``, or ``1.200,5``,
  with a percent sign, a currency or a unit at the same end of each, or without. Beside other numbers, ``(12.5)`` is
  -12.5, as in accounts. Text that both ways can read, ``1,200``, is read as the other columns of its table are, and
  with a decimal point where no column decides.
- Digits of which some begin with a zero, such as ``01067``, are codes: they stay text, and keep their zeros. So are
  whole numbers of so many digits that floating-point numbers would lose the last ones.
- "true" and "false" become booleans.
- All other text stays text, without blanks at its ends.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np
import pandas as pd

from cpvae.data import dates
from cpvae.data.faults import Fault, enumerated

if TYPE_CHECKING:
    Series = pd.Series[Any]

_NO_DAYS = (  # what programs write where there is no date, or no end yet
    *("0000-00-00", "0001-01-01", "01/01/0001", "1/1/0001"),
    *("9999-12-31", "31.12.9999", "31/12/9999", "12/31/9999"),
)
# those that pandas.read_csv takes for missing, so that its frames and our loader agree, and a few more
MARKS = frozenset(
    {"", "?", "-", "--", "---", "\u2013", "\u2014", "n/a", "NA", "N/A", "nan", "NaN", "NAN", "-nan", "-NaN"}
    | {"null", "NULL", "None", "<NA>", "#N/A", "#N/A N/A", "#NA", "#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!"}
    | {"1.#IND", "1.#QNAN", "-1.#IND", "-1.#QNAN"}
    | {day + clock for day in _NO_DAYS for clock in ("", " 00:00:00", "T00:00:00")}
)
MARKS_AMONG_NUMBERS = frozenset(  # in lower case
    {".", "..", "...", "*", "na", "n.a.", "n.a", "nd", "n.d.", "unknown", "unk", "missing", "no data", "null", "(null)"}
    | {"n/a", "not available", "not applicable", "#n/d", "#nv", "k.a.", "k. a.", "keine angabe"}
)
_POINT = re.compile(
    r"[-+\u2212]?(\d+|[1-9]\d{0,2}(,\d{3})+|[1-9]\d?(,\d{2})*,\d{3}|[1-9]\d{0,2}([ '\u00a0\u202f]\d{3})+)?"
    r"(\.\d*)?([eE][+-]?\d+)?"
)
_COMMA = re.compile(
    r"[-+\u2212]?(\d+|[1-9]\d{0,2}(\.\d{3})+|[1-9]\d{0,2}([ '\u00a0\u202f]\d{3})+)?(,\d*)?([eE][+-]?\d+)?"
)
_SIGNS = r"[%‰$€£¥₹]"
_SIGNED = re.compile(
    rf"(?P<minus>[-\u2212]?)(?P<before>{_SIGNS}?)\s*(?P<number>[-+\d.,].*?)\s*(?P<after>{_SIGNS}?)", re.DOTALL
)
_GROUPS = re.compile(r"[ '\u00a0\u202f]")
_CURRENCIES = "AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|RUB|SEK|SGD|TRY|USD|ZAR"
_UNITS = (  # in lower case, without the s of a plural; of no other word is it known that it names a unit
    "km m cm mm µm um nm mi mile ft feet in inch yd kg g mg µg ug ng t lb oz l ml cl dl gal m2 m² km2 km² ft2 ft² ha "
    "m3 m³ cm3 cm³ cc °c °f °k ° k c f deg ms s sec second min minute h hr hour d day wk week mo month yr year km/h "
    "kmh kph mph m/s kn w kw mw wh kwh mwh hp ps mv kv ma hz khz mhz ghz kb mb gb tb kib mib gib px pt dpi bpm rpm "
    "mmhg hpa kpa pa bar psi mol mmol mmol/l mg/dl g/dl g/l µg/l ng/ml iu iu/l u/l kcal cal kj db ppm ppb mn mio bn"
)
_UNIT = re.compile(
    rf"(?P<before>{_CURRENCIES}|[A-Z]{{1,2}}\$)?\s?(?P<number>[-+\u2212]?\d[\d.,'\u00a0\u202f ]*?)\s?"
    rf"(?P<after>{_CURRENCIES}|°|[°º]?[^\W\d_]+[²³23]?(/[^\W\d_]+)?)?"
)
_MAYBE_CLASS = re.compile(r"\d+[^\W\dkKM_]")  # such as 7c: a class, or degrees
_PLURAL = 3  # letters of a unit from which on an s at its end is the plural
_CODE = re.compile(r"0\d+")
_LONG = re.compile(r"[-+]?\d{16,300}")  # a float holds whole numbers up to 2**53, of 16 digits
_QUOTED = re.compile(r"""='?"([^"]*)"|'([^']*)'""")  # as some programs keep numbers from being read as numbers
_IN_BRACKETS = re.compile(rf"(?P<before>{_SIGNS}?)\s?\((?P<number>[^-+\u2212()]+)\)")
_TRUTH = {"true": True, "false": False}
MOST_NUMBER = 40  # characters
EXAMPLES = 3
SIGNS = "cpvae.signs"  # in the attributes of a data frame: the signs and units that were left out
_NAMES = {"eur": "€", "usd": "$", "us$": "$", "gbp": "£", "jpy": "¥"}
REMEDY = "convert them (durations to a number, such as of days or hours), or make the columns 'ignore' in the schema"
REMEDY_FOR_LISTS = (
    "fit vectors as an array of their own, numpy.stack(table[column]), saved as .npy for the command line, or make the "
    "columns 'ignore' in the schema"
)


@dataclass(frozen=True)
class Text:
    """The distinct cells of a column of text.

    Attributes:
        codes: of each cell the place of its text, ``(n,)``, -1 where missing.
        texts: the distinct ones, without blanks at their ends.
        ways: in which of the two ways of writing, "point" and "comma", all of them are numbers.
        sign: a percent sign, a currency or a unit that all have; "" for none.
        marks: those that stand for missing cells, and how often.
        plain: all are numbers as Python reads them.
    """

    codes: np.ndarray
    texts: list[str]
    ways: frozenset[str]
    sign: str
    marks: dict[str, int]
    plain: bool

    @property
    def whole(self) -> bool:
        """Tell whether no text has a point: then both ways of writing give the same plain numbers."""
        return not any("." in text for text in self.texts)

    def numbers(self, way: str) -> np.ndarray:
        """Give the cells as float64, ``(n,)``, NaN where missing."""
        values = [number(text, way) for text in self.texts]
        return np.array([*values, np.nan], dtype=np.float64)[self.codes]


def number(text: str, way: str = "point") -> float:
    """Read a number in one of the two ways of writing.

    >>> number("1,200.5"), number("1.200,5", "comma"), number("45 %"), number("1 200")
    (1200.5, 1200.5, 45.0, 1200.0)
    """
    bare = _GROUPS.sub("", _bare(text)[0]).replace("\u2212", "-")
    if way == "comma":
        bare = bare.replace(".", "").replace(",", ".")
    return float(bare.replace(",", ""))


def ways_of(text: str) -> frozenset[str]:
    """Say in which ways of writing a text is a number.

    >>> sorted(ways_of("1,200")), sorted(ways_of("0,5")), sorted(ways_of("1,5")), sorted(ways_of("C0001"))
    (['comma', 'point'], ['comma'], ['comma'], [])
    """
    bare = _bare(text)[0]
    if len(bare) > MOST_NUMBER or not any(mark.isdigit() for mark in bare):
        return frozenset()
    return frozenset(way for way, form in (("point", _POINT), ("comma", _COMMA)) if form.fullmatch(bare))


def number_alone(text: str) -> float | None:
    """Read a number that stands alone, of which no other cell says in which way it is written; None where both can be.

    >>> number_alone("1.5"), number_alone("170,5"), number_alone("45 %"), number_alone("1,200"), number_alone("big")
    (1.5, 170.5, 45.0, None, None)
    """
    if is_plain_number(text):
        return float(text)
    found = {number(text, way) for way in ways_of(text)}
    return found.pop() if len(found) == 1 else None


def _bare(text: str) -> tuple[str, str]:
    """Take the sign at one of its ends from a text; give both."""
    found = _SIGNED.fullmatch(text)
    if found is None or (found["before"] and found["after"]):
        return text, ""
    return found["minus"] + found["number"], found["before"] or found["after"]


def signs_of(frame: pd.DataFrame) -> dict[str, str]:
    """Give the signs and units that `read_frame` left out of a table: column -> sign."""
    return dict(frame.attrs.get(SIGNS, {}))


def same_sign(one: str, other: str) -> bool:
    """Say whether two signs or units are one, such as ``EUR`` and ``€``.

    >>> same_sign("EUR", "€"), same_sign("Kg", "kg"), same_sign("kg", "t")
    (True, True, False)
    """
    a, b = (_NAMES.get(sign.casefold(), sign.casefold()) for sign in (one, other))
    return a == b


def read_frame(frame: pd.DataFrame, commas: bool = False) -> tuple[pd.DataFrame, list[str]]:
    """Read the text in a table as what it says; see this module's docstring.

    Args:
        frame: ``n`` rows.
        commas: take text that both ways of writing can read for decimal commas, if no column says otherwise.

    Returns:
        The table, its columns of text read, and a line about each thing that was taken for granted.

    Columns with cells that no column of a table can have, such as lists, stay as they are.

    Examples:
        >>> frame, notes = read_frame(pd.DataFrame({"a": ["1,5", "?", "2,25"], "b": ["1.200", "800", "3.000"]}))
        >>> frame["b"].tolist(), notes[0]
        ([1200.0, 800.0, 3000.0], "numbers with decimal commas in 2 columns ('a', 'b')")
        >>> notes[1]
        "marks taken for missing cells: '?' (1 cell, in 'a')"
    """
    found: dict[int, Text | None] = {}
    for i in text_columns(frame):
        with suppress(Fault):  # whoever uses the column refuses it
            found[i] = text_of(frame.iloc[:, i], str(frame.columns[i]))
    texts = {i: text for i, text in found.items() if text is not None}
    if not found:
        return frame, []
    only = Counter(next(iter(text.ways)) for text in texts.values() if len(text.ways) == 1)
    way = "comma" if (commas or only["comma"]) and not only["point"] else "point"
    read = frame.copy(deep=False)
    for i in found.keys() - texts.keys():
        read.isetitem(i, _unboxed(frame.iloc[:, i]))
    commaed: list[str] = []
    grouped: list[str] = []
    signs: dict[str, str] = {}
    for i, text in texts.items():
        name, column = repr(str(frame.columns[i])), frame.iloc[:, i]
        chosen = next(iter(text.ways)) if len(text.ways) == 1 else way if text.ways else ""
        read.isetitem(i, _values(text, chosen, column))
        if chosen and not (text.plain and (chosen == "point" or text.whole)):
            (commaed if chosen == "comma" else grouped).append(name)
            signs |= {str(frame.columns[i]): text.sign} if text.sign else {}
    notes = []
    if commaed:
        notes.append(f"numbers with decimal commas in {_columns(commaed)}")
    if grouped:
        notes.append(f"numbers with signs, units or separators between thousands in {_columns(grouped)}")
    if signs:
        told = [f"{sign} in {column!r}" for column, sign in signs.items()]
        notes.append(f"signs and units beside numbers are left out: {enumerated(told)}")
        read.attrs[SIGNS] = signs_of(frame) | signs
    notes += _told_marks({str(frame.columns[i]): text.marks for i, text in texts.items()})
    return read, notes


def _unboxed(column: Series) -> Any:
    """Give numbers that are Python objects as numbers; other objects, such as dates and booleans, as they are.

    >>> _unboxed(pd.Series([1, 2], dtype=object)), _unboxed(pd.Series([1, None], dtype=object))
    (array([1, 2]), array([ 1., nan]))
    """
    distinct = column.dropna().unique()
    if lose_digits([str(value) for value in distinct]):
        return column.map(str, na_action="ignore").to_numpy(dtype=object)
    if any(isinstance(value, bool) or not isinstance(value, (Real, Decimal)) for value in distinct):
        return column.to_numpy()
    missing = column.isna()
    if not missing.any() and all(isinstance(value, Integral) and abs(int(value)) < 2**63 for value in distinct):
        return column.to_numpy(dtype=np.int64)
    return np.array([np.nan if gone else float(value) for value, gone in zip(column, missing, strict=True)])


def same_anywhere(texts: Sequence[str]) -> bool:
    """Say whether `read_frame` leaves each of some texts as it is, whether it stands alone in a column or with numbers.

    >>> same_anywhere(["red", "blue"]), same_anywhere(["1,200"]), same_anywhere(["unknown"]), same_anywhere(["true"])
    (True, False, False, False)
    """
    alone, beside = pd.DataFrame([texts, texts]), pd.DataFrame([texts, ["1"] * len(texts)])
    return all([*map(as_text, read_frame(frame)[0].iloc[0])] == [*texts] for frame in (alone, beside))


def text_columns(frame: pd.DataFrame) -> list[int]:
    """Give the places of the columns that may hold text: all but numbers, booleans, dates and pandas' categories."""
    return [
        i for i, dtype in enumerate(frame.dtypes) if getattr(dtype, "kind", "O") in "OSU" and not _categories(dtype)
    ]


def _categories(dtype: Any) -> bool:
    return isinstance(dtype, (pd.CategoricalDtype, pd.PeriodDtype, pd.IntervalDtype))


def _columns(names: list[str]) -> str:
    return f"{len(names)} column{'s' * (len(names) != 1)} ({enumerated(names)})"


def _told_marks(marks: dict[str, dict[str, int]]) -> list[str]:
    """Say which marks were found, how often, and where; empty cells need no word."""
    found: dict[str, list[str]] = {}
    total: Counter[str] = Counter()
    for name, counts in marks.items():
        for mark, count in counts.items():
            if mark:
                found.setdefault(mark, []).append(repr(name))
                total[mark] += count
    parts = [
        f"{mark!r} ({total[mark]:,} cell{'s' * (total[mark] != 1)}, in {enumerated(names, EXAMPLES)})"
        for mark, names in found.items()
    ]
    return [f"marks taken for missing cells: {enumerated(parts)}"] if parts else []


def _values(text: Text, way: str, column: Series) -> Any:
    """Give cells as numbers where there is a way to read them, else as booleans or text; None where missing."""
    if way:
        return text.numbers(way)
    lower = [one.lower() for one in text.texts]
    if text.texts and set(lower) <= set(_TRUTH):
        truth = np.array([*(_TRUTH[one] for one in lower), None], dtype=object)[text.codes]
        return truth.astype(bool) if (text.codes >= 0).all() else truth
    cells = np.array([*text.texts, None], dtype=object)[text.codes]
    return pd.array(cells, dtype="str") if isinstance(column.dtype, pd.StringDtype) else cells


def text_of(cells: Series, name: str) -> Text | None:
    """Look at the distinct cells of a column of text; None where it holds other things, such as Python's dates.

    Raises:
        Fault: lists, records and other cells that are neither numbers nor text.
    """
    try:
        codes, found = pd.factorize(cells)
    except (TypeError, NotImplementedError) as error:  # of Arrow the latter
        first = cells.dropna().iloc[0]
        raise odd_cells(name, first) from error
    distinct = list(found)
    if not all(isinstance(value, (str, bytes)) for value in distinct):
        if dates.is_typed(cells):
            return None
        distinct = [_plain(value, name) for value in distinct]
        if not any(isinstance(value, str) for value in distinct):
            return None
    texts = [as_text(value) for value in distinct]
    counts = np.bincount(codes[codes >= 0], minlength=len(texts))
    return _sorted_out(codes, texts, counts)


def _plain(value: Any, name: str) -> Any:
    if isinstance(value, (str, bytes, bool, Real, np.generic, Decimal)):
        return as_text(value) if isinstance(value, (bytes, str)) else value
    if isinstance(value, (date, time, UUID)):  # among text, or alone as no column of dates has them
        return str(value)
    raise odd_cells(name, value)


def odd_cells(name: str, value: object) -> Fault:
    """Say that a column holds what no column of a table can."""
    remedy = REMEDY_FOR_LISTS if hasattr(value, "__len__") else REMEDY
    return Fault(
        f"{type(value).__name__} cells",
        f"column {name!r} (such as {str(value)[:40]!r})",
        f"expected numbers, text, dates or booleans; {remedy}",
    )


def _sorted_out(codes: np.ndarray, texts: list[str], counts: np.ndarray) -> Text:
    """Take the marks out of the distinct texts, and see what is left."""
    texts = _unquoted(texts)
    marks = {text for text in texts if text in MARKS}
    if "+" in texts:
        marks.discard("-")
    found = {text: int(count) for text, count in zip(texts, counts, strict=True) if text in marks}
    known = {text: ways_of(text) for text in texts if text not in marks}
    bare, unit = _without_unit(known)
    texts = [bare.get(text, text) for text in texts]
    left = [text for text in texts if text not in marks]
    ways = [known[text] if text in known else ways_of(text) for text in left]
    others = {text for text, way in zip(left, ways, strict=True) if not way}
    if others and len(others) < len(left) and all(text.lower() in MARKS_AMONG_NUMBERS for text in others):
        found |= {text: int(count) for text, count in zip(texts, counts, strict=True) if text in others}
        left, ways = [text for text in left if text not in others], [way for way in ways if way]
    possible = frozenset.intersection(*ways) if ways else frozenset()
    signs = {unit or _bare(text)[1] for text in left} if possible else set()
    if len(signs) > 1 or are_codes(left):  # "45%" beside "0.3": which of the two is meant?
        possible, signs = frozenset(), set()
    place = {text: i for i, text in enumerate(dict.fromkeys(left))}
    places = np.array([*(place.get(text, -1) for text in texts), -1])
    plain = bool(possible) and not bare and all(map(is_plain_number, place))
    return Text(places[codes], list(place), possible, signs.pop() if possible else "", found, plain)


def are_codes(texts: Sequence[str]) -> bool:
    """Say whether texts are digits, of which some begin with a zero that a number would lose, or lose other digits.

    They are all of one length, or most of them begin so: one 007 among numbers is a slip.

    >>> are_codes(["01067", "10115"]), are_codes(["0", "10"]), are_codes(["00.5", "01"]), are_codes(["007", "8", "12"])
    (True, False, False, False)
    """
    if lose_digits(texts):
        return True
    zeros = sum(map(bool, map(_CODE.fullmatch, texts)))
    if not zeros or not all(text.isdecimal() for text in texts):
        return False
    return 2 * zeros > len(texts) or len(set(map(len, texts))) == 1


def lose_digits(texts: Sequence[str]) -> bool:
    """Say whether texts are whole numbers, most of them so long that floating-point numbers lose digits of some.

    A few long ones among others are no numbering: the largest of very uneven numbers, or a slip.

    >>> lose_digits(["100000000000000001", "7" * 17]), lose_digits(["9" * 18, "1", "2"]), lose_digits(["1.5"])
    (True, False, False)
    """
    long = [text for text in texts if _LONG.fullmatch(text)]
    if 2 * len(long) <= len(texts) or all(int(float(text)) == int(text) for text in long):
        return False
    return all(text.lstrip("+-").isdecimal() for text in texts)


def _unquoted(texts: list[str]) -> list[str]:
    """Take off the quotes that all of some numbers stand in.

    >>> _unquoted(['="1.5"', "'2'"]), _unquoted(["'x'", "'y'"])
    (['1.5', '2'], ["'x'", "'y'"])
    """
    found = [_QUOTED.fullmatch(text) for text in texts if text not in MARKS]
    if not found or not all(one and ways_of(one[1] or one[2] or "") for one in found):
        return texts
    return [text if text in MARKS else _QUOTED.sub(r"\1\2", text) for text in texts]


def _without_unit(ways: Mapping[str, frozenset[str]]) -> tuple[dict[str, str], str]:
    """Find the numbers in texts that are all written with the same unit or currency, or some of them in brackets.

    Args:
        ways: text -> the ways of writing in which it is a number (`ways_of`).

    Returns:
        Text -> the number in it, empty where the texts are not so; and the unit.

    >>> [_without_unit({text: ways_of(text) for text in texts}) for texts in (["7.5 kg", "9 kg"], ["(2.5)", "3"])]
    [({'7.5 kg': '7.5', '9 kg': '9'}, 'kg'), ({'(2.5)': '-2.5'}, '')]
    """
    texts = [text for text in ways if text.lower() not in MARKS_AMONG_NUMBERS]
    others = [text for text in texts if not ways[text]]
    if not others:
        return {}, ""
    if len(others) < len(texts):
        found = {text: _IN_BRACKETS.fullmatch(text) for text in others}
        bare = {text: f"-{one['before']}{one['number']}" for text, one in found.items() if one}
        bare = {text: number for text, number in bare.items() if ways_of(number)}
        return (bare, "") if len(bare) == len(others) else ({}, "")
    parts = _with_units(others)
    units = {unit for _, unit in parts.values()}
    return ({text: bare for text, (bare, _) in parts.items()}, units.pop()) if len(units) == 1 else ({}, "")


def several_units(texts: Sequence[str]) -> list[str]:
    """Give the units of numbers that are written with more than one; none of other texts.

    >>> several_units(["7.5 kg", "900 g"]), several_units(["7.5 kg", "9 kg"]), several_units(["7.5 kg", "x"])
    (['g', 'kg'], [], [])
    """
    units = {unit for _, unit in _with_units(texts).values()}
    return sorted(units) if len(units) > 1 else []


def is_measure(text: str) -> bool:
    """Say whether a text is a number with a unit, or one that is about right.

    >>> [text for text in ("50 kg", "1.5K", "~12.5", "7c", "51", "big") if is_measure(text)]
    ['50 kg', '1.5K', '~12.5']
    """
    about = text.lstrip("~\u2248 ")
    if about != text:
        return bool(ways_of(about)) or is_measure(about)
    return bool(_with_units([text])) and not _MAYBE_CLASS.fullmatch(text)


def _with_units(texts: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Take texts apart into numbers and units that are known, text -> both; empty where one text is not so."""
    found = {}
    for text in texts:
        one = _UNIT.fullmatch(text)
        if one is None or not ways_of(one["number"]) or bool(one["before"]) == bool(one["after"]):
            return {}
        unit = one["before"] or one["after"]
        unit = unit.removesuffix("s") if len(unit) >= _PLURAL else unit
        if unit not in _CURRENCIES.split("|") and unit[-1:] != "$" and unit.lower() not in _UNITS.split():
            return {}
        found[text] = (one["number"], unit)
    return found


def is_plain_number(text: str) -> bool:
    """Tell whether Python reads a text as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def as_text(value: Any) -> str:
    """Give a cell as text without blanks at its ends; a whole number that missing cells made a float is written whole.

    >>> as_text(3.0), as_text(" x "), as_text(b"\\xff")
    ('3', 'x', '�')
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip()
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value).strip()
