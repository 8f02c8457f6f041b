"""Tables in text files: which mark stands between cells, whether the first line is a header, in which letters.

Nothing of this is written in such a file, so that it is found out, and said where it is not a comma, a header and
UTF-8:

- The mark is the one of ``\\t ; | ,`` by which most lines have as many cells; else blanks, where all lines agree and
  hold numbers. A line with more or fewer cells is an error.
- The first line is data, not a header, if its cells are like those below: a number above numbers, a text that occurs
  below. Whole numbers in even steps, such as 0, 1, 2 or 2019, 2020, 2021, are names of columns all the same.
- A header with one name less than there are cells belongs to all columns but the first, which names the rows, as R
  writes it.
- Lines at the beginning that start with # are comments. The last of them is the header if it has as many cells as the
  lines below, and these have no header of their own.
- A byte order mark tells UTF-8 or UTF-16. A file without it that is no UTF-8 is read as Windows-1252.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice, pairwise, takewhile
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from cpvae.data.faults import enumerated, listed
from cpvae.data.loaders.checks import input_error, reading

if TYPE_CHECKING:
    import pandas as pd


def _open_zip(path: Path) -> IO[bytes]:
    """Open the only file in an archive."""
    archive = zipfile.ZipFile(path)
    names = [one.filename for one in archive.infolist() if not one.is_dir() and "__MACOSX" not in one.filename]
    if len(names) != 1:
        raise input_error(f"{path}: an archive of {len(names)} files; expected one; unpack it and give the file meant")
    return archive.open(names[0])


OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zip": _open_zip,
}
MARKS = {"\t": "tabs", ";": "semicolons", "|": "bars", ",": "commas"}  # in order of preference
RARE = {"^": "carets", "~": "tildes", ":": "colons"}  # where all lines agree, and none of those above is there
BLANKS = " "
COMMENT = "#"
WINDOWS = "cp1252"  # letters of a text that is no UTF-8
SAMPLE_LINES, SAMPLE_LETTERS = 1000, 2**18  # looked at to find the mark and the header
CONTROLS = frozenset(map(chr, [*range(7), 8, *range(14, 27), *range(28, 32)]))  # in no text
ENCODINGS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_SAID = re.compile(r'"?sep=(.)"?')
_MAYBE_CODE = re.compile(r"(?<![\d./:-])0\d|(?<![\d.,])\d{16}")  # in a line, with a cell such as 01067, or a long one
_FOREIGN = re.compile(r"[^\s,;|\"']*[^\x00-\x7f][^\s,;|\"']*")  # a word with a letter that ASCII does not have
LONGEST_SHOWN = 30  # letters of it
MOST_NAMES = 4  # lines of names above a table: with more of them it holds text
MOST_LINE = 2**27  # letters: no line of a table is longer


@dataclass(frozen=True)
class Form:
    """The way a table is written in a text file.

    Attributes:
        encoding: of its letters.
        mark: what stands between cells.
        names: of the columns, where the first line is data or has no name for the first column; None to read them
            there.
        header: whether the first line is one.
        commas: whether numbers with decimal commas are in it.
        codes: places of the columns whose digits are codes, not numbers.
        skip: how many lines stand above the table.
        notes: what was found that is not usual.
    """

    encoding: str
    mark: str
    names: tuple[str, ...] | None
    header: bool
    commas: bool
    codes: frozenset[int]
    skip: int
    notes: tuple[str, ...]


def read_text(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """Read a table from a text file, which may be compressed (.gz, .bz2, .xz, .zip).

    Returns:
        The table, its text as it stands there, and a line about each thing that was taken for granted.

    Raises:
        InputError: an empty file, no text, lines of different lengths, a repeated column.
    """
    import pandas as pd

    from cpvae.data.cells import read_frame

    with reading(path, "a table in a text file"):
        form = find_form(path)
        with opened(path, form.encoding) as file:
            frame = pd.read_csv(
                file,
                sep=r"\s+" if form.mark == BLANKS else form.mark,
                header=0 if form.header else None,
                names=list(form.names) if form.names is not None else None,
                index_col=False,
                skiprows=form.skip,
                dtype=str if form.commas else dict.fromkeys(form.codes, str),
                keep_default_na=False,
                na_values=[""],
                skipinitialspace=True,
                low_memory=False,  # one dtype for the whole of a column
            )
    frame.columns = pd.Index([str(name).strip() or f"Unnamed: {i}" for i, name in enumerate(frame.columns)])
    frame, notes = read_frame(frame, commas=form.mark == ";")
    return frame, [f"{path.name}: {note}" for note in (*form.notes, *notes)]


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Open a file, compressed or not, as text."""
    opener = OPENERS.get(path.suffix.lower())
    with (
        opener(path) if opener else path.open("rb") as file,
        io.TextIOWrapper(file, encoding, newline="") as text,
    ):
        yield text


def find_form(path: Path) -> Form:
    """Look at a text file and find out how its table is written.

    Raises:
        InputError: an empty file, no text, lines of different lengths, a repeated column.
    """
    encoding = find_encoding(path)
    with opened(path, encoding) as file:
        comments = _comments(_lines(file))
    skip = len(comments)
    with opened(path, encoding) as file:
        sample = _sample(islice(_lines(file), skip, None))
    said = _SAID.fullmatch(sample[0].strip()) if sample else None
    if said:
        sample, skip = sample[1:], skip + 1
    if not sample:
        raise input_error(f"{path}: an empty file; expected a header and rows of numbers")
    mark = said[1] if said else find_mark(sample)
    rows = list(islice(split(iter(sample), mark), SAMPLE_LINES))
    named = _names_rows(rows)
    header = named or has_header(rows)
    above = _header_above(comments, rows, mark, header)
    if not named:
        check_title(path, rows)
    if header:
        check_one_header(path, rows)
    codes = _check_lines(path, encoding, mark, named, skip)
    first = above or rows[0]
    if header or above:
        check_repeats([name for name in first if name], path)
    notes = [f"letters read as {encoding}"] if encoding not in ("utf-8", "utf-8-sig") else []
    if encoding == WINDOWS:
        notes = [f"{notes[0]}{_foreign(sample)}; if they look wrong, save the file as UTF-8"]
    if mark != "," and len(first) > 1:
        notes.append(f"cells separated by {named_mark(mark)}")
    if comments:
        one = "the first line is a comment" if len(comments) == 1 else f"the first {len(comments):,} lines are comments"
        notes.append(f"{one}, {'of which the last names the columns' if above else 'left out'}")
    if not header and not above:
        notes.append(told_numbers(len(first)))
    if named:
        names: tuple[str, ...] | None = ("rownames", *first)
    elif above:
        names, header = tuple(above), False
    else:
        names = None if header else tuple(map(str, range(len(first))))
    return Form(encoding, mark, names, header, _has_commas(rows), codes, skip, tuple(notes))


def _lines(file: IO[str]) -> Iterator[str]:
    """Read lines, of which none may fill the memory."""
    return iter(lambda: file.readline(MOST_LINE), "")


def _comments(lines: Iterator[str]) -> list[str]:
    """Take the comments at the beginning, with empty lines among them."""
    found, n = [], 0
    for i, line in enumerate(lines, 1):
        if line.startswith(COMMENT):
            n = i
        elif line.strip():
            break
        found.append(line)
    return found[:n]


def _header_above(comments: Sequence[str], rows: Sequence[Sequence[str]], mark: str, header: bool) -> list[str]:
    """Give the names of columns in the last comment; none where it is no header.

    >>> _header_above(["# a,b"], [["1.5", "2"], ["2.5", "3"]], ",", False)
    ['a', 'b']
    """
    named = header and not all(map(is_number, rows[0]))
    if not comments or (named and (len(comments) > 1 or comments[-1][1:2].isspace())):
        return []
    cells = next(split(iter([comments[-1].removeprefix(COMMENT).strip(" ")]), mark), [])
    return [cell or COMMENT for cell in cells] if len(cells) == len(rows[0]) > 1 else []


def find_encoding(path: Path) -> str:
    """Find the encoding of a text, all of which is read."""
    with OPENERS[path.suffix.lower()](path) if path.suffix.lower() in OPENERS else path.open("rb") as file:
        start = file.read(4)
        marked = next((name for mark, name in ENCODINGS.items() if start.startswith(mark)), None)
        decoder = codecs.getincrementaldecoder(marked or "utf-8")()
        part, utf8 = start, True
        while part:
            if utf8:
                try:
                    letters = decoder.decode(part)
                except UnicodeDecodeError:
                    if marked:
                        raise
                    utf8 = False
            if not utf8:
                letters = _in_windows(part, path)
            if not CONTROLS.isdisjoint(letters):
                raise ValueError("it holds characters that no text has; UTF-16 needs its mark at the beginning")
            part = file.read(2**20)
        if utf8:
            decoder.decode(b"", final=True)
    return (marked or "utf-8") if utf8 else WINDOWS


def _foreign(lines: Sequence[str]) -> str:
    """Show the first word with a letter that ASCII does not have, by which people see whether it was read right.

    >>> _foreign(["size,colour", "1.5,grün", "2.5,weiß"])
    ", such as 'grün'"
    """
    found = next(filter(None, map(_FOREIGN.search, lines)), None)
    return "" if found is None else f", such as {found[0][:LONGEST_SHOWN]!r}"


def _in_windows(part: bytes, path: Path) -> str:
    """Read bytes as the letters of Windows in Western Europe, in which five bytes are no letter."""
    try:
        return part.decode(WINDOWS)
    except UnicodeDecodeError as error:
        raise input_error(
            f"{path}: letters that are neither UTF-8 nor Windows-1252; expected UTF-8; save the file as UTF-8"
        ) from error


def _sample(file: Iterator[str]) -> list[str]:
    """Read the first lines, empty ones left out."""
    lines: list[str] = []
    letters = 0
    for line in file:
        if len(lines) >= SAMPLE_LINES or (letters >= SAMPLE_LETTERS and len(lines) >= 2):
            break
        letters += len(line)
        if line.strip():
            lines.append(line)
    return lines


def split(lines: Iterator[str], mark: str) -> Iterator[list[str]]:
    """Split lines into cells without blanks at their ends; empty lines are left out."""
    if mark == BLANKS:
        lines = (line.strip() for line in lines)
    for cells in csv.reader(lines, delimiter=mark, skipinitialspace=True):
        if cells:
            yield [cell.strip() for cell in cells]


def find_mark(lines: Sequence[str]) -> str:
    """Find the mark between cells.

    >>> find_mark(["a;b", "1,5;2,25", "3,5;4,75"]), find_mark(["a b", "1.5   2", "3 4"])
    (';', ' ')
    >>> find_mark(["name", "New York"])
    ','
    """
    best, most = ",", 0.0
    for mark in MARKS:
        counts = Counter(len(cells) for cells in _some(lines, mark))
        cells, agreeing = max(counts.items(), key=lambda item: (item[1], item[0]), default=(1, 0))
        share = agreeing / max(1, counts.total())
        if cells > 1 and share > most:
            best, most = mark, share
    if most == 1.0:
        return best
    if _all_commas(lines):  # one column of numbers with decimal commas
        return ";"
    rows = list(_some(lines, BLANKS))
    alike = len({len(row) for row in rows[1:]}) == 1 and len(rows[-1]) > 1 and len(rows[-1]) - len(rows[0]) in (0, 1)
    if not most and alike and any(map(_are_numbers, zip(*rows[1:], strict=True))):
        return BLANKS
    return best if most else next((mark for mark in RARE if _divides(lines, mark)), best)


def _are_numbers(cells: Sequence[str]) -> bool:
    """Say whether cells are numbers, but for missing ones."""
    from cpvae.data.cells import MARKS as MISSING

    known = [cell for cell in cells if cell not in MISSING]
    return bool(known) and all(map(is_number, known))


def _divides(lines: Sequence[str], mark: str) -> bool:
    """Say whether a mark divides each of some lines into as many cells, which are two or more."""
    counts = {len(cells) for cells in _some(lines, mark)}
    return len(lines) > 1 and len(counts) == 1 and counts.pop() > 1


def named_mark(mark: str) -> str:
    """Give the name of a mark between cells."""
    return {**MARKS, **RARE}.get(mark, "blanks")


def _some(lines: Sequence[str], mark: str) -> Iterator[list[str]]:
    try:
        yield from split(iter(lines), mark)
    except csv.Error:  # a quote that this mark leaves open
        return


def _all_commas(lines: Sequence[str]) -> bool:
    from cpvae.data.cells import ways_of

    return len(lines) > 1 and all(ways_of(line.strip()) == {"comma"} for line in lines[1:])


def is_number(cell: str) -> bool:
    """Say whether a cell is a number, however it is written."""
    from cpvae.data.cells import ways_of

    return bool(ways_of(cell))


def has_header(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the first of some rows names the columns.

    >>> has_header([["size", "kind"], ["1.5", "a"], ["2.5", "a"]])
    True
    >>> has_header([["1.5", "a"], ["2.5", "a"], ["3", "b"]])
    False
    >>> has_header([["country", "2019", "2020"], ["x", "1.5", "2.5"]])
    True
    """
    from cpvae.data.cells import MARKS as MISSING

    first, below = rows[0], rows[1:]
    if not below:
        return True
    numbers, repeats = [], []
    for cell, column in zip(first, zip(*below, strict=False), strict=False):
        known = [one for one in column if one not in MISSING]
        if cell in MISSING or not known:
            continue
        if 10 * sum(map(is_number, known)) >= 9 * len(known):
            numbers.append(cell)
        elif len(set(known)) < len(known):
            repeats.append(cell in known)
    if numbers:
        return not all(map(is_number, numbers)) or _in_steps(numbers)
    return not repeats or not all(repeats)


def _in_steps(cells: Sequence[str]) -> bool:
    """Say whether cells are two or more whole numbers in even steps upwards, as names of columns are."""
    if len(cells) < 2 or not all(cell.isdecimal() for cell in cells):
        return len(cells) == 1 and cells[0] == "0"
    values = [int(cell) for cell in cells]
    steps = {b - a for a, b in pairwise(values)}
    return len(steps) == 1 and steps.pop() > 0


def _names_rows(rows: Sequence[Sequence[str]]) -> bool:
    """Say whether the header has no name for the first column, which names the rows."""
    lengths = {len(row) for row in rows[1:]}
    if lengths != {len(rows[0]) + 1} or any(map(is_number, rows[0])):
        return False
    first = [row[0] for row in rows[1:]]
    numbered = first in ([str(i + start) for i in range(len(first))] for start in (0, 1))
    return len(set(first)) == len(first) and (numbered or not any(map(is_number, first)))


def _has_commas(rows: Sequence[Sequence[str]]) -> bool:
    from cpvae.data.cells import ways_of

    return any(ways_of(cell) == {"comma"} for row in rows[1:] for cell in row if "," in cell)


def told_numbers(columns: int) -> str:
    """Say what the columns of a table without a header are called."""
    last = f" to {str(columns - 1)!r}" if columns > 1 else ""
    return f"the first line holds data, so that the columns are called '0'{last}"


def check_title(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Refuse a title above a table: lines of a single cell, or of a single one with text."""
    title = len(list(takewhile(_is_title, rows)))
    below = {len(row) for row in rows[title:]}
    if title and len(rows) > title + 1 and len(below) == 1:
        lines, have = ("line", "has") if title == 1 else (f"{title:,} lines", "have")
        raise input_error(
            f"{path}: the first {lines} {have} 1 cell and all lines below have {max(below)}; expected the "
            "names of the columns there, or data; remove what stands above the table"
        )


def _is_title(row: Sequence[str]) -> bool:
    filled = [cell for cell in row if cell]
    return len(row) == 1 or (len(row) > 2 and len(filled) < 2 and not any(map(is_number, filled)))


def check_one_header(path: Path, rows: Sequence[Sequence[str]]) -> None:
    """Refuse a second line of names, or of units, above the numbers of a table."""
    from cpvae.data.cells import MARKS as MISSING
    from cpvae.data.cells import MARKS_AMONG_NUMBERS

    lines = 1 + len(list(takewhile(lambda row: not any(map(is_number, row)), rows[1 : MOST_NAMES + 1])))
    if not 1 < lines <= min(MOST_NAMES, len(rows) - 1):
        return
    columns = [i for i, cells in enumerate(zip(*rows[lines:], strict=False)) if _are_numbers(cells)]
    texts = [
        [row[i] for i in columns if row[i] not in MISSING and row[i].lower() not in MARKS_AMONG_NUMBERS]
        for row in rows[1:lines]
    ]
    if len(columns) > 1 and all(2 * len(own) >= len(columns) for own in texts):
        first, *_ = texts
        raise input_error(
            f"{path}: the first {lines} lines have text in columns of numbers ({listed(first, 2)}); expected the "
            "names of the columns in one line, and data below it; keep one of these lines"
        )


def _check_lines(path: Path, encoding: str, mark: str, named: bool, skip: int) -> frozenset[int]:
    """Refuse lines of different lengths, which pandas would pad; give the columns with cells such as 01067, or long."""
    from cpvae.data.cells import are_codes

    codes: set[int] = set()
    maybe = False

    def seen(lines: Iterable[str]) -> Iterator[str]:
        nonlocal maybe
        for line in lines:
            maybe = maybe or _MAYBE_CODE.search(line) is not None
            yield line

    with opened(path, encoding) as file:
        whole = islice(file, skip, None)
        lines = (line.strip() for line in whole) if mark == BLANKS else whole
        reader = csv.reader(seen(lines), delimiter=mark, skipinitialspace=True)
        first = next(cells for cells in reader if cells)
        for cells in chain([first] if not named else [], reader):
            if maybe:
                found = (place for place, cell in enumerate(cells) if place not in codes and _MAYBE_CODE.search(cell))
                codes.update([place for place in found if are_codes([cells[place].strip()])])
                maybe = False
            if cells and len(cells) != len(first) + named:
                raise input_error(
                    f"{path}: line {reader.line_num + skip} has {len(cells)} cell{'s' * (len(cells) != 1)} and "
                    f"the first line {len(first)}; expected as many in every line, separated by "
                    f"{named_mark(mark)}; correct that line"
                )
    return frozenset(codes)


def check_repeats(names: Sequence[str], path: Path) -> None:
    """Refuse columns of one name, naming all such."""
    counts = [(name, count) for name, count in Counter(names).items() if count > 1]
    if counts:
        told = enumerated([f"{count} columns are called {name!r}" for name, count in counts])
        raise input_error(f"{path}: {told}; expected different names; rename them")


def suffix_of(path: Path) -> str:
    """Give the suffix that tells the format, that of compression left out.

    >>> suffix_of(Path("a.CSV.gz")), suffix_of(Path("a.parquet")), suffix_of(Path("train-images.gz"))
    ('.csv', '.parquet', '')
    """
    return Path(path.stem).suffix.lower() if path.suffix.lower() in OPENERS else path.suffix.lower()
