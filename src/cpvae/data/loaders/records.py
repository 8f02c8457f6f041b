"""Records that the functions of this package take and return."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

Array = NDArray[Any]
NO_LABEL = "(none)"  # of a row that has no label among others that have one; it agrees with no category


@dataclass(frozen=True)
class Split:
    """Rows and their labels.

    `x`: (n, features), images (n, channels, height, width) or signals (n, channels, time), in the dtype of its source.
    A `.npy` file comes as a copy-on-write `np.memmap`, so that it may be larger than the memory; a sparse matrix as
    `cpvae.data.sparse.SparseRows`, which stands where an array does; a table with text or missing cells as a data
    frame. `y`: (n,) integers, floats or strings, or None. `row_names`: (n,) text by which a person knows a row, such as
    the names of picture files, or None; `cpvae cluster` writes them. `known`: (n,) labels that a fit is to know, with
    `NO_LABEL` or -1 for a row without one, or None.
    """

    x: Array | pd.DataFrame
    y: Array | None
    row_names: Array | None = None
    known: Array | None = None


@dataclass(frozen=True)
class Asked:
    """Wishes of a person about data that are not read yet; see `cpvae.datasets.load`."""

    labels: str | None = None
    kind: str = "auto"
    size: int | tuple[int, int] | None = None
    layer: str | None = None
    shape: tuple[int, ...] | None = None
    known: str | None = None
    gaps: bool = False  # whether rows may be without a label in any format, as where some labels are known

    @property
    def sides(self) -> tuple[int, int] | None:
        """Give height and width of pictures, asked for or known, or None."""
        if self.size is None:
            return None if self.shape is None or len(self.shape) < 3 else (self.shape[1], self.shape[2])
        return (self.size, self.size) if isinstance(self.size, int) else self.size

    def as_dict(self) -> dict[str, Any]:
        """Give what was said about the rows, without labels, as JSON holds it."""
        given = {"kind": self.kind if self.kind != "auto" else None, "size": self.size, "layer": self.layer}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Opened:
    """A file as the reader of its format finds it.

    `kind`: what its rows are (`cpvae.data.row_kinds.KINDS`), or "auto" where the format leaves that open.
    `names`: of the columns, or None. `notes`: what was taken for granted, a line each. `labelled`: whether the labels
    asked for were found inside; else they are a file of their own. `apart`: columns of a table that hold labels, and
    are no part of its rows.
    """

    splits: dict[str, Split]
    kind: str = "auto"
    names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    labelled: bool = False
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class Dataset:
    """A data set and what is known about it.

    `name` is what it really is: "omniglot-rebuilt", say, where the published Omniglot file is absent.
    `likelihood`: "bernoulli", "gaussian", "columns", or None where it has to be decided from the values.
    `feature_names`: the columns of a table, or None.
    `kind`: what its rows are, one of `cpvae.data.row_kinds.KINDS`.
    `reading`: what was said of the rows before they were read, arguments of `cpvae.datasets.load`.
    `notes`: what the loader took for granted, a line each, such as the separator of a table; commands print them.
    `apart`: columns of a table that hold labels, and are no part of its rows.
    """

    name: str
    splits: dict[str, Split]
    likelihood: str | None
    feature_names: tuple[str, ...] | None
    description: str
    notes: tuple[str, ...] = ()
    kind: str = "matrix"
    reading: dict[str, Any] = field(default_factory=dict)
    apart: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileStatus:
    """One file of a named set: `ok` is True or False after a check of its md5, None where it is absent."""

    name: str
    path: Path
    present: bool
    ok: bool | None


@dataclass(frozen=True)
class DatasetStatus:
    """One named set: `path` is its folder, None for a set that comes with the package or is drawn."""

    name: str
    description: str
    present: bool
    path: Path | None
