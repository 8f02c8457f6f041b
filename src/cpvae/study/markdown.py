"""Tables in Markdown: the one writer of them, for results in print and for pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

ENTITIES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "&#124;",
    "[": "&#91;",
    "]": "&#93;",
    "`": "&#96;",
    "*": "&#42;",
}


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a table, one line for each row, and a newline at its end.

    Args:
        head: the headings.
        rows: the cells of each row, as many as there are headings. Cells are Markdown: links and code stay. A bar in
            a cell is escaped and a line break becomes a space, so that no cell can break the table.

    Raises:
        ValueError: a row with more or fewer cells than headings.

    >>> print(table(["model", "-L"], [["vae", "88.75"], ["a|b", "`c`"]]), end="")
    | model | -L |
    |---|---|
    | vae | 88.75 |
    | a\\|b | `c` |
    """
    lines = [_line(head)]
    lines.append("|---" * len(head) + "|")
    for row in rows:
        if len(row) != len(head):
            raise ValueError(f"{len(row)} cells under {len(head)} headings: {row!r}")
        lines.append(_line(row))
    return "\n".join(lines) + "\n"


def plain(text: str) -> str:
    """Escape a name that a user chose, so that it stands in Markdown as it is: no HTML, no link, no bar of a table.

    >>> plain("a|b <i>.csv"), plain("my_rows.csv")
    ('a&#124;b &lt;i&gt;.csv', 'my_rows.csv')
    """
    return "".join(ENTITIES.get(letter, letter) for letter in " ".join(text.split()))


def link(text: str, address: str) -> str:
    """Link a text to an address; without an address the text stays alone.

    >>> link("0", "runs/vae seed/"), link("0", "")
    ('[0](<runs/vae seed/>)', '0')
    """
    if not address:
        return text
    return f"[{text}](<{address}>)" if set(address) & set(" ()") else f"[{text}]({address})"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Put a cell on one line; a bar that is escaped already stays so."""
    return " ".join(text.split("\n")).replace("\\|", "|").replace("|", "\\|")
