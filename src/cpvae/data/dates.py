"""Dates of a table: how they are written, and the number of days that stands for them.

A column holds dates where it has the type of dates. It holds them too where all its text, or all its whole numbers such
as 20240131, can be read in one of many ways of writing them. Whether 01/02/2024 is in January or in February is judged
from the whole column: a day above 12 decides. Where none does, dates with slashes that are all the first of a month say
so; others are read day first, which is said aloud.

The model sees days since 1970, a number. A season is not made of them: where the month or the weekday matters, give it
a column of its own.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    Series = pd.Series[Any]

TYPED = ""  # the format of a column that has the type of dates
PERIOD = "%period "  # begins the format of a column of pandas' periods, such as "%period M" of months
WHOLE, WHOLE_DIGITS = "%Y%m%d", 8  # 20240131; with fewer digits, 202311 would be the first of January
EARLIEST, LATEST = 1900, 2100  # years that eight digits may mean
FIRST_DAY, LAST_DAY = -719_161.0, 2_932_896.0  # what sampled days are held between: 0001-01-02 and 9999-12-31
WHOLE_WITHIN = 1e-5  # of a day, an hour or a minute, such as floating-point numbers leave
TRIED = 100  # of many texts
MOST_TEXT = 40  # characters in a date
_DAYS = (
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y.%m.%d",
    *(f"{a}{mark}{b}{mark}%{year}" for mark in ".-/" for year in "Yy" for a, b in (("%d", "%m"), ("%m", "%d"))),
    *(f"%d{mark}%{month}{mark}%{year}" for mark in (" ", "-", "") for month in "bB" for year in "Yy"),
    "%Y年%m月%d日",
    *(f"%d. %{month} %Y" for month in "bB"),
    *(f"%{month} %d{mark} %Y" for month in "bB" for mark in (",", "")),
    *(f"%{day}{mark} %d %{month} %Y" for day, month in ("ab", "AB") for mark in (",", "")),
    *(f"%{day}{mark} %{month} %d{mark} %Y" for day, month in ("ab", "AB") for mark in (",", "")),
    "%Y-%m",
    "%Y/%m",
    "%m/%Y",
    "%b %Y",
    "%B %Y",
    "%b-%y",
    "%b-%Y",
)
_TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")  # of a day, also without a day
_CLOCKS = ("", *(f"{gap}{clock}" for gap in (" ", "T", ", ") for clock in _TIMES))
_OTHERS = ("%a %b %d %H:%M:%S %Y", "%d/%b/%Y:%H:%M:%S %z", *_TIMES)
_LIKE_A_DATE = re.compile(
    r"\d{1,4}\s?[-/. 年]\s?\w|\d{1,2}[a-z]{3,9}\d\d|\d{1,2}:\d\d"
    r"|(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)\w*[ -]\d"
    r"|(mon|tue|wed|thu|fri|sat|sun)\w*,? \w",
    re.I,
)
_MONTH = re.compile(r"(\d{1,2})[-/.](\d{4})")  # the month first
_ONE_WAY = re.compile(  # what pandas reads in one way, whatever the order of day and month
    r"\d{4}([-/.]?\d\d?)?|\d{4}([-/.]?\d\d?){2}([ T]\d\d?(:\d\d){0,2})?|\d{4}-?Q[1-4]"
    r"|(\d\d?\W?)?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\W?(\d\d?\W+)?\d{4}",
    re.IGNORECASE,
)
_NO_DATES = ("now", "today")  # which pandas takes for dates in any format
_OFFSET = re.compile(r"(Z|[+-]\d\d:?\d\d)$")  # the end of a text that says how far its time is from Greenwich
_ZONES = ("Z", "+00:00", "-00:00", "+0000", "-0000")  # outlines of how a zone is written
_PADDED = "dmHI"  # numbers that may be written without their zero; a format then has %-d
_NO_ZERO = "\1"  # stands for that while a date is written
_FINER = re.compile(r"(?<=\.\d{6})\d{1,3}(?!\d)")  # digits of a second that Python's dates do not have
_GREENWICH = ("Z", "+00:00", "+0000", " UTC", " GMT")  # ways to say that a time is that of Greenwich
_ZONED = ("T%H:%M%z", "T%H:%M:%S%z", "T%H:%M:%S.%f%z", " %H:%M:%S%z", " %H:%M:%S.%f%z", " %H:%M%z")


@cache
def _formats() -> tuple[str, ...]:
    zoned = (*_ZONED, *(f" {time} {zone}" for time in _TIMES for zone in ("UTC", "GMT")))
    return (*(day + clock for day in _DAYS for clock in (*_CLOCKS, *(zoned if day == "%Y-%m-%d" else ()))), *_OTHERS)


def is_typed(cells: Series) -> bool:
    """Say whether a column has the type of dates, or holds Python's dates.

    >>> is_typed(pd.Series(pd.to_datetime(["2024-01-31"]))), is_typed(pd.Series([date(2024, 1, 31), None]))
    (True, True)
    >>> is_typed(pd.Series(["2024-01-31"]))
    False
    """
    if cells.dtype.kind == "M" or isinstance(cells.dtype, (pd.DatetimeTZDtype, pd.PeriodDtype)):
        return True
    if cells.dtype != object:
        return False
    first = cells.first_valid_index()
    return first is not None and all(isinstance(cell, (date, np.datetime64)) for cell in cells.dropna())


def typed_format(cells: Series) -> str:
    """Give the format of a column that has the type of dates, or of periods.

    >>> typed_format(pd.Series(pd.period_range("2024-01", periods=3, freq="M")))
    '%period M'
    """
    if not isinstance(cells.dtype, pd.PeriodDtype):
        return TYPED
    return PERIOD + str(cells.dtype).removeprefix("period[").removesuffix("]")


def is_typed_format(form: str) -> bool:
    """Say whether a format is that of dates or periods with a type of their own.

    >>> is_typed_format(TYPED), is_typed_format("%period M"), is_typed_format("%period x"), is_typed_format("%Y")
    (True, True, False, False)
    """
    try:
        return form == TYPED or (form.startswith(PERIOD) and bool(pd.PeriodDtype(form.removeprefix(PERIOD))))
    except ValueError:
        return False


def is_clock(form: str) -> bool:
    """Say whether a format is that of times of a day, without a day.

    >>> is_clock("%-I:%M %p"), is_clock("%Y-%m-%d %H:%M"), is_clock(TYPED)
    (True, False, False)
    """
    return plain(form) in _TIMES


def find_format(texts: list[str]) -> str | None:
    """Find the way in which all of some texts are written as dates; None where there is none.

    >>> find_format(["01-10-2027", "25-12-2026"]), find_format(["1/31/2024", "2/1/2024"]), find_format(["a", "b"])
    ('%d-%m-%Y', '%m/%d/%Y', None)
    >>> find_format(["2024-01-31T10:00:00", "2024-02-01T00:30:00"])
    '%Y-%m-%dT%H:%M:%S'
    """
    fitting = [form for form in _formats_of(texts[0]) if _parsed(texts, form) is not None] if texts else []
    if not fitting:
        return None
    form = next((form for form in fitting[len(fitting) == 1 :] if _begin_months(texts, form)), fitting[0])
    zone = next((zone for zone in _GREENWICH if "%z" in form and all(text.endswith(zone) for text in texts)), "%z")
    return form.replace("%z", zone)  # new rows then have it as these have


def as_written(texts: list[str], form: str) -> str:
    """Mark numbers that some texts write without a zero before them, as %-d, and words in capitals, as %^b.

    New dates are then written as these are.

    >>> as_written(["5JAN2024"], "%d%b%Y"), as_written(["1.2.2024", "31.12.2024"], "%d.%m.%Y")
    ('%-d%^b%Y', '%-d.%-m.%Y')
    """
    for flag, change in (("^", str.upper), ("#", str.lower)):
        if all(text == change(text) for text in texts):
            form = re.sub("%([bBaA]|p)" if flag == "#" else "%([bBaA])", rf"%{flag}\1", form)
    numbers = re.escape(plain(form))
    for mark in set(re.findall("%([a-zA-Z])", plain(form))):
        numbers = numbers.replace(f"%{mark}", rf"(?P<{mark}>\d+)" if mark in _PADDED else ".+?")
    seen = [found.groupdict() for text in texts if (found := re.fullmatch(numbers, text))]
    for mark in _PADDED:
        if any(len(one.get(mark) or "00") == 1 for one in seen):
            form = form.replace(f"%{mark}", f"%-{mark}")
    return form


def plain(form: str) -> str:
    """Give a format as it is read: zeros before a number may be there or not, and words in any letters.

    >>> plain("%-d.%-m.%Y")
    '%d.%m.%Y'
    """
    return re.sub("%[-^#]", "%", form)


def format_of(cells: Series) -> tuple[str, bool] | None:
    """Find the way in which the dates of a column are written, whatever it holds; None where there is none.

    Returns:
        The format, and whether the dates could be read month first instead of day first, or the reverse.

    >>> format_of(pd.Series(["31.01.2024", None])), format_of(pd.Series([20240131.0, None]))
    (('%d.%m.%Y', False), ('%Y%m%d', False))
    """
    if cells.dtype.kind in "iuf":
        values = cells.dropna().to_numpy(dtype=np.float64)
        return (WHOLE, False) if are_whole(values) else None
    texts = [str(value).strip() for value in cells.dropna().unique()]
    form = find_format(texts)
    return None if form is None else (form, is_ambiguous(texts, form))


def period_of(text: str, form: str) -> pd.Period | None:
    """Read a date that is written in part, such as a month; None for what is no date, or a whole one in the format.

    Args:
        text: in the format, without its clock or its day; or a year, a quarter, a month or more, the year first. For a
            column of times of a day, hours and minutes.
        form: as `find_format` found it, or `TYPED`.

    >>> [str(period_of(text, "%d.%m.%Y %H:%M")) for text in ("02.09.2023", "09.2023", "2023Q3", "2023-09", "Sep 2023")]
    ['2023-09-02', '2023-09', '2023Q3', '2023-09', '2023-09']
    >>> period_of("02.09.2023", "%d.%m.%Y"), period_of("09/02/2023", TYPED)
    (None, None)
    """
    form = plain(form)
    if form and _reads(text, form):
        return None
    if is_clock(form):
        finer = [(part, unit) for part, unit in (("%H:%M", "min"), ("%H:%M:%S", "s")) if _reads(text, part)]
        return pd.Period(datetime.strptime(text, finer[0][0]), finer[0][1]) if finer else None
    day = re.split(r"[^%\w]*T?%[HI]", form)[0]
    month = re.sub("%d[^%]*", "", day).strip("-/., ")
    for part, unit in ((day, "D"), (month, "M")):
        if part != form and "%y" in part.lower() and _reads(text, part):  # the year may stand behind the clock
            return pd.Period(datetime.strptime(text, part), unit)
    try:
        year_first = _MONTH.sub(r"\2-\1", text)
        return pd.Period(year_first) if _ONE_WAY.fullmatch(year_first) else None
    except (ValueError, OverflowError):
        return None


def is_ambiguous(texts: list[str], form: str) -> bool:
    """Say whether dates read day first could be read month first as well, or the reverse."""
    form = plain(form)
    other = form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
    return other != form and other in _formats() and _parsed(texts, other) is not None


def _formats_of(text: str) -> list[str]:
    if len(text) > MOST_TEXT or not _LIKE_A_DATE.match(text):
        return []
    return [form for form in _formats_by_outline().get(_outline(text), []) if _reads(text, form)]


@cache
def _formats_by_outline() -> dict[str, list[str]]:
    """Give the formats in which a text of an outline may be written: to try all of them would take seconds."""
    found: dict[str, list[str]] = {}
    for form in _formats():
        for zone in _ZONES if "%z" in form else ("",):
            text = re.sub("%[bBaAp]", "a", form.replace("%z", zone))
            forms = found.setdefault(_outline(re.sub("%[a-zA-Z]", "0", text)), [])
            forms.extend([form] if form not in forms else [])
    return found


def _outline(text: str) -> str:
    """Replace each number by 0 and each word by a.

    >>> _outline("2024-01-31T10:00:00+02:00"), _outline("June 3, 2024")
    ('0-0-0a0:0:0+0:0', 'a 0, 0')
    """
    return re.sub(r"\d+", "0", re.sub(r"[^\W\d_]+", "a", text))


def _reads(text: str, form: str) -> bool:
    try:
        datetime.strptime(_FINER.sub("", text), form)
    except ValueError:
        return False
    return form != WHOLE or len(text) == WHOLE_DIGITS


def _parsed(texts: list[str], form: str) -> Series | None:
    cells = pd.Series([None if text in _NO_DATES else text for text in texts], dtype=object)
    found = pd.Series(pd.to_datetime(cells, format=form, errors="coerce", utc="%z" in form))
    return None if found.isna().any() else found


def _begin_months(texts: list[str], form: str) -> bool:
    found = _parsed(texts, form)
    return found is not None and bool((found.dt.day == 1).all()) and len(texts) > 1


def are_whole(values: np.ndarray) -> bool:
    """Say whether whole numbers, none missing, are dates such as 20240131.

    >>> are_whole(np.array([20240131.0, 20240201.0])), are_whole(np.array([20240231.0, 1.0]))
    (True, False)
    """
    if not len(values) or values.min() < EARLIEST * 10_000 or values.max() > LATEST * 10_000:
        return False
    if (values != np.floor(values)).any():
        return False
    return _parsed([str(int(value)) for value in np.unique(values)], WHOLE) is not None


def to_days(cells: Series, form: str, zone: str = "") -> tuple[np.ndarray, np.ndarray]:
    """Turn dates into days since 1970, of Greenwich.

    Args:
        cells: ``(n,)`` of the type of dates, text in the format, or numbers such as 20240131.
        form: as `find_format` found it, or `TYPED`.
        zone: as `zone_of` found it; dates that say no zone are of this one.

    Returns:
        float64 days ``(n,)``, NaN where missing, and which cells ``(n,)`` could not be read.

    >>> to_days(pd.Series(["02-01-1970", None, "soon"]), "%d-%m-%Y")
    (array([ 1., nan, nan]), array([False, False,  True]))
    """
    given = cells.notna().to_numpy(dtype=bool)
    if isinstance(cells.dtype, pd.PeriodDtype):
        found: Any = cells.dt.to_timestamp()
    elif zone and isinstance(cells.dtype, np.dtype) and cells.dtype.kind == "M":
        found = _in_zone(cells, zone)
    elif is_typed(cells):
        found = pd.to_datetime(cells.astype(object), errors="coerce", utc=True)
    elif form == WHOLE:
        numbers = pd.to_numeric(cells.astype(object), errors="coerce")
        whole = numbers.where(numbers == np.floor(numbers)).astype("Int64").astype("string")
        found = pd.to_datetime(whole.where(whole.str.len() == WHOLE_DIGITS), format=form, errors="coerce", utc=True)
    else:
        found = _read(cells.astype(object), form, zone)
    moments = pd.Series(found, index=cells.index)
    if getattr(moments.dt, "tz", None) is not None:
        moments = moments.dt.tz_localize(None)
    return _days_of(moments), given & ~moments.notna().to_numpy(dtype=bool)


def _in_zone(moments: Series, zone: str) -> Series:
    """Take dates without a zone for those of one; an hour that comes twice is that of summer."""
    summer = np.ones(len(moments), dtype=bool)
    return moments.dt.tz_localize(as_zone(zone), ambiguous=summer, nonexistent="shift_forward").dt.tz_convert("UTC")


def _read(cells: Series, form: str, zone: str) -> Series:
    """Read text in its format; what is not in it may be an ISO date, as other programs write them."""
    text = cells.where(cells.isna(), cells.astype(str).str.strip())
    text = text.mask(text.isin(_NO_DATES))
    found = pd.Series(pd.NaT, cells.index, dtype="datetime64[us, UTC]")
    if form and not form.startswith(PERIOD):
        found = pd.to_datetime(text, format=plain(form), errors="coerce", utc=True)
    left = found.isna() & text.notna()
    if left.any() and not is_clock(form):
        iso = pd.Series(pd.to_datetime(text[left], format="ISO8601", errors="coerce", utc=True))
        if zone:
            bare = text[left].astype(str).str.extract(_OFFSET, expand=False).isna()
            iso[bare] = _in_zone(iso[bare].dt.tz_localize(None), zone)
        found = found.astype("datetime64[us, UTC]")
        found[left] = iso.astype("datetime64[us, UTC]")
    return found


def zone_of(cells: Series, form: str) -> str:
    """Find the time zone of the dates of a column; "" where they have none.

    Args:
        cells: ``(n,)``, of the type of dates or text.
        form: as `find_format` found it, or `TYPED`.

    Returns:
        The name of the zone, or an offset such as "+02:00", as it is written. Where offsets differ, as in winter and
        in summer, it is the one that most dates have: text does not name the zone.

    >>> zone_of(pd.Series(pd.to_datetime(["2024-01-31"])).dt.tz_localize("Europe/Berlin"), TYPED)
    'Europe/Berlin'
    >>> zone_of(pd.Series(["2024-01-31 10:00:00+0100", None]), "%Y-%m-%d %H:%M:%S%z")
    '+0100'
    """
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        name = str(cells.dtype.tz)
        return name if is_zone(name) else _offset(cells[cells.first_valid_index()])
    if form == TYPED and cells.dtype == object:
        return _offset(cells[cells.first_valid_index()])
    if "%z" not in form:
        return ""
    ends = cells.dropna().astype(str).str.extract(_OFFSET, expand=False).dropna()
    return str(ends.mode().iloc[0]) if len(ends) else ""


def as_zone(zone: str) -> str:
    """Give the name by which pandas knows a zone of `zone_of`.

    >>> as_zone("+0200"), as_zone("Z"), as_zone("Europe/Berlin")
    ('UTC+02:00', 'UTC', 'Europe/Berlin')
    """
    return "UTC" if zone == "Z" else f"UTC{zone[:3]}:{zone[-2:]}" if zone[0] in "+-" else zone


def is_zone(name: str) -> bool:
    """Say whether dates can be written in a zone, or in none.

    >>> is_zone("Europe/Berlin"), is_zone("+02:00"), is_zone(""), is_zone("Europe/Atlantis")
    (True, True, True, False)
    """
    try:
        pd.Timestamp(0, tz=as_zone(name) if name else None)
    except (KeyError, ValueError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True


def _offset(moment: Any) -> str:
    """Give the offset of a moment from Greenwich, such as "+02:00"; "" for one without a zone."""
    text = moment.strftime("%z") if isinstance(moment, datetime) else ""
    return f"{text[:3]}:{text[3:5]}" if text else ""


def from_days(days: np.ndarray, form: str, zone: str = "") -> Series:
    """Write days since 1970, of Greenwich, as dates in the format and the time zone they came in.

    >>> from_days(np.array([0.0, np.nan]), "%d.%m.%Y").tolist()
    ['01.01.1970', None]
    >>> from_days(np.array([0.5]), "%Y-%m-%d %H:%M:%S%z", "+02:00").tolist()
    ['1970-01-01 14:00:00+02:00']
    """
    missing = np.isnan(days)
    seconds = np.rint(np.where(missing, 0.0, days.clip(FIRST_DAY, LAST_DAY - bool(zone))) * 86_400).astype(np.int64)
    moments = pd.Series(seconds.astype("datetime64[s]"))
    if zone:
        moments = moments.dt.tz_localize("UTC").dt.tz_convert(as_zone(zone))
    if form == TYPED:
        return moments.where(~missing)
    if form.startswith(PERIOD):
        return moments.where(~missing).dt.to_period(form.removeprefix(PERIOD))
    text = moments.dt.strftime(plain(form.replace("%z", zone or "+0000").replace("%-", f"{_NO_ZERO}%")))
    text = text.str.replace(rf"{_NO_ZERO}0?", "", regex=True)
    text = text.str.upper() if "%^" in form else text.str.lower() if "%#" in form else text
    if form == WHOLE:
        return pd.Series(np.where(missing, np.nan, text.astype(float))) if missing.any() else text.astype(np.int64)
    return text.astype(object).where(~missing, None)


def step_of(days: np.ndarray) -> float | None:
    """Say whether dates ``(n,)``, none missing, lie whole days, hours or minutes apart; None where they do not.

    >>> step_of(np.array([0.0, 3.0])), step_of(np.array([0.4, 0.4 + 5 / 1440])), step_of(np.array([0.0, 1e-4]))
    (1.0, 0.0006944444444444445, None)
    """
    apart = days - days.min()
    parts = (n for n in (1, 24, 1440) if (np.abs(apart * n - np.rint(apart * n)) < WHOLE_WITHIN).all())
    return next((1 / n for n in parts), None)


def to_local(days: np.ndarray, zone: str) -> np.ndarray:
    """Turn days ``(n,)`` of Greenwich into those of a time zone; "" changes nothing.

    >>> to_local(np.array([0.5, np.nan]), "+06:00").tolist()
    [0.75, nan]
    """
    if not zone:
        return days
    return _days_of(_moments_of(days).dt.tz_localize("UTC").dt.tz_convert(as_zone(zone)).dt.tz_localize(None))


def from_local(days: np.ndarray, zone: str, near: np.ndarray) -> np.ndarray:
    """Turn days ``(n,)`` of a time zone into those of Greenwich; where it has them, into those `near`.

    These tell apart the two hours of a night in autumn that a clock shows as one.

    >>> from_local(np.array([0.75, np.nan]), "+06:00", np.array([0.4, np.nan])).tolist()
    [0.5, nan]
    """
    if not zone:
        return days
    found = _days_of(_in_zone(_moments_of(days), zone).dt.tz_localize(None))
    return np.where(np.abs(to_local(near, zone) - days) < WHOLE_WITHIN, near, found)


def _moments_of(days: np.ndarray) -> Series:
    """Give moments to the microsecond, held between dates that have a zone anywhere."""
    held = np.where(np.isnan(days), 0.0, days).clip(FIRST_DAY + 1, LAST_DAY - 2)
    return pd.Series(np.rint(held * 86_400e6).astype("datetime64[us]")).where(~np.isnan(days))


def _days_of(moments: Series) -> np.ndarray:
    """Give days since 1970, NaN where missing."""
    days = np.full(len(moments), np.nan)
    known = moments.notna().to_numpy(dtype=bool)
    days[known] = moments[known].to_numpy(dtype="datetime64[us]").astype(np.int64) / 86_400e6
    return days


def readable(texts: list[str]) -> np.ndarray:
    """Say which texts ``(n,)`` are dates in the format that most of the first few are written in."""
    for first in texts[:3]:
        found = [np.array([_reads(text, form) for text in texts]) for form in _formats_of(first)[:3]]
        if found:
            return max(found, key=np.sum)
    return np.zeros(len(texts), dtype=bool)


def all_readable(texts: list[str]) -> bool:
    """Say whether some of many texts are all dates, each in a format of its own.

    >>> all_readable(["2024-01-31", "31.01.2024"]), all_readable(["10-19", "2024-01-31"])
    (True, False)
    """
    return all(_formats_of(text) for text in texts[:TRIED])
