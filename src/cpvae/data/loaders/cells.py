"""Single cells: AnnData's `.h5ad`, and what 10x Genomics' programs write, `.mtx` folders and `.h5`.

Rows are cells, columns are genes; both keep their names. Where all numbers are whole they are counts.
"""

from __future__ import annotations

import gzip
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.limits import check_memory
from cpvae.data.loaders.checks import check_x, input_error, printable, reading
from cpvae.data.loaders.records import Asked, Opened, Split
from cpvae.data.loaders.tables import label_column
from cpvae.errors import nearest
from cpvae.extras import needed

MATRIX = ("matrix.mtx", "matrix.mtx.gz")
GENES = "Gene Expression"  # what 10x Genomics' programs call them, beside antibodies and others
BYTES_AN_ENTRY = 64  # of a sparse matrix while it is read: row, column and value, and a copy


def is_anndata(file: Any) -> bool:
    """Tell whether AnnData wrote an HDF5 file."""
    return "X" in file and "obs" in file and "var" in file


def has_layers(path: Path) -> bool:
    """Tell whether a file may have layers: an `.h5ad`, or an HDF5 file that AnnData wrote.

    Raises:
        InputError: no h5py, or a damaged file.
    """
    suffix = path.suffix.lower()
    if suffix not in (".h5", ".hdf5") or not path.is_file():
        return suffix == ".h5ad"
    with needed(f"{path}: reading it"):
        import h5py
    with reading(path, "an HDF5 file"), h5py.File(path, "r") as file:
        return is_anndata(file)


def read_h5ad(path: Path, asked: Asked) -> Opened:
    """The cells of an AnnData file: its X, or the layer asked for; labels are a column of `obs`.

    Raises:
        InputError: no anndata, no such layer or column, or a damaged file.
    """
    with reading(path, "an AnnData file"), needed(f"{path}: reading it"):
        import h5py
        from anndata import read_h5ad as read_whole
        from anndata.io import read_elem
    with reading(path, "an AnnData file"), h5py.File(path, "r") as file:
        layers = list(file["layers"]) if "layers" in file else []
        raw = "raw.X" if "raw.X" in file else "raw/X"
        places = {"X": "X"} if "X" in file else {}
        places |= {name: f"layers/{name}" for name in layers} | ({"raw": raw} if raw in file else {})
        name = "X" if asked.layer is None else asked.layer
        if name not in places:
            hint = nearest(name, places) if places else "; expected cells x genes"
            raise input_error(f"{path}: no layer {name!r}{hint}")
        part = places[name]
        if hasattr(file[part], "size"):
            check_memory(file[part].size * file[part].dtype.itemsize, f"{path}[{part}]", "fewer cells")
        if isinstance(file["obs"], h5py.Dataset):  # written before AnnData 0.7
            whole = read_whole(path)
            of = whole.raw if part == raw else whole
            x, obs, var = of.X, whole.obs, of.var
        else:
            x, obs = read_elem(file[part]), read_elem(file["obs"])
            var = read_elem(file["raw/var" if part == raw else "var"])
        x = check_x(x, f"{path}[{part}]")
        y, missing = None, list[str]()
        if asked.labels is not None and not Path(asked.labels).is_file():
            if asked.labels not in obs:
                raise input_error(f"{path}: no column {asked.labels!r} in obs{nearest(asked.labels, [*obs][:20])}")
            y, missing = label_column(obs[asked.labels], asked.labels, path)
        notes = [kind_note(x, part), *missing]
        if layers and asked.layer is None:
            notes.append(
                f"X was read; the file has the layers {', '.join(layers)}: for one say layer={layers[0]!r} (--layer)"
            )
        splits = {"all": Split(x, y, np.array(obs.index.astype(str)))}
    return Opened(splits, _kind(x), unique(list(map(str, var.index))), tuple(notes), y is not None)


def is_10x(file: Any) -> bool:
    """Tell whether Cell Ranger, of any version, wrote an HDF5 file."""
    return _group(file) is not None


def _group(file: Any) -> str | None:
    """The group of the matrix: "matrix" since version 3, the name of the genome before."""
    parts = [name for name in file if hasattr(file[name], "keys") and {"data", "indices", "indptr"} <= {*file[name]}]
    named = [name for name in parts if "barcodes" in file[name] and "shape" in file[name]]
    return named[0] if len(named) == 1 else None


def read_10x(file: Any, path: Path) -> Opened:
    """The cells of an HDF5 file of Cell Ranger."""
    from scipy.sparse import csc_array

    group = file[_group(file)]
    check_memory(group["data"].size * BYTES_AN_ENTRY, str(path), "fewer cells")
    parts = (group[name][:] for name in ("data", "indices", "indptr"))
    n_genes, n_cells = map(int, group["shape"][:])
    genes_by_cells = csc_array(tuple(parts), shape=(n_genes, n_cells))
    at = "features/name" if "features" in group else "gene_names"
    names = unique([text.decode("utf-8", "replace") for text in group[at][:]])
    cells = [text.decode("utf-8", "replace") for text in group["barcodes"][:]]
    kinds = None
    if "features" in group and "feature_type" in group["features"]:
        kinds = [text.decode("utf-8", "replace") for text in group["features/feature_type"][:]]
    x, names, notes = _of_genes(check_x(genes_by_cells.T, path), names, kinds)
    return Opened({"all": Split(x, None, np.array(cells))}, _kind(x), names, (kind_note(x, "matrix"), *notes))


def _of_genes(x: Any, names: tuple[str, ...], kinds: Sequence[str] | None) -> tuple[Any, tuple[str, ...], list[str]]:
    """Keep the genes of a matrix that also has antibodies or other features, and say so."""
    own = [i for i, kind in enumerate(kinds or ()) if kind == GENES]
    if not own or len(own) == len(names):
        return x, names, []
    others = ", ".join(sorted({*(kinds or ())} - {GENES}))
    note = f"left out what is no gene: {len(names) - len(own):,} of {len(names):,} features ({printable(others)})"
    from cpvae.data.sparse import SparseRows

    return SparseRows(x.tocsc()[:, own]), tuple(names[i] for i in own), [note]


def find_mtx(folder: Path) -> Path | None:
    """The Matrix Market file of a folder as 10x Genomics' programs write it, or None."""
    found = sorted(path for path in folder.iterdir() if path.name.endswith(MATRIX) and path.is_file())
    if len(found) > 1:
        raise input_error(f"{folder}: {len(found)} matrices, {found[0].name}, {found[1].name}; give the path of one")
    return found[0] if found else None


def read_mtx(path: Path, asked: Asked) -> Opened:
    """A Matrix Market file; with barcodes and features beside it those of 10x Genomics, genes x cells, turned.

    Raises:
        InputError: names beside it that are not as many as its rows or columns, or a damaged file.
    """
    with reading(path, "a Matrix Market file"):
        matrix = _entries(path)
    rows, columns = matrix.shape
    cells, genes = _beside(path, "barcodes"), _beside(path, "features") or _beside(path, "genes")
    turned = cells is not None and genes is not None and (rows, columns) == (len(genes), len(cells))
    sizes = {"barcodes": (cells, columns if turned else rows), "genes": (genes, rows if turned else columns)}
    for what, (found, size) in sizes.items():
        if found is not None and len(found) != size:
            raise input_error(
                f"{path}: a matrix of {rows:,} x {columns:,} with {len(found):,} {what} beside it; expected as "
                "many as it has rows or columns; give the files of one sample"
            )
    x = check_x(matrix.T if turned else matrix, path)
    notes = (kind_note(x, path.name),) + (("genes x cells were turned: rows are cells",) if turned else ())
    names = None if genes is None else unique(genes)
    if names is not None:
        kinds = _beside(path, "features", 2)
        x, names, others = _of_genes(x, names, kinds)
        notes = (*notes, *others)
    return Opened({"all": Split(x, None, None if cells is None else np.array(cells))}, _kind(x), names, notes)


def _entries(path: Path) -> Any:
    """The sparse matrix of a Matrix Market file. (scipy.io.mmread ends the process at some damaged files.)"""
    from scipy.sparse import coo_array

    opened: Any = gzip.open if path.name.endswith(".gz") else open
    with opened(path, "rt", encoding="utf-8") as lines:
        header = next(lines, "").lower().split()
        if header[:3] != ["%%matrixmarket", "matrix", "coordinate"] or header[4:] != ["general"]:
            raise input_error(
                f"{path}: begins with {' '.join(header)[:60]!r}; expected %%MatrixMarket matrix coordinate, general, "
                "by rows and columns; write it again"
            )
        sizes = next(line for line in lines if line.strip() and not line.startswith("%"))
        rows, columns, entries = map(int, sizes.split())
        check_memory(entries * BYTES_AN_ENTRY, str(path), "fewer cells")
        table = np.loadtxt(lines, ndmin=2, comments="%", max_rows=entries + 1)
    if len(table) != entries or table.shape[1] != (2 if header[3] == "pattern" else 3):
        raise input_error(
            f"{path}: {len(table):,} lines of {table.shape[1]} numbers; expected {entries:,} of row, column and value; "
            "write it again"
        )
    values = np.ones(entries) if header[3] == "pattern" else table[:, 2]
    places = tuple(table[:, :2].T.astype(np.int64) - 1)
    return coo_array((values.astype(np.int64) if header[3] == "integer" else values, places), shape=(rows, columns))


def _beside(path: Path, what: str, column: int = 1) -> list[str] | None:
    """A column, or the last before it, of a file of names that belongs to a matrix."""
    start = re.sub(r"matrix\.mtx(\.gz)?$", "", path.name) if path.name.endswith(MATRIX) else ""
    for ending in (".tsv", ".tsv.gz"):
        file = path.with_name(f"{start}{what}{ending}")
        if file.is_file():
            opened: Any = gzip.open if ending.endswith("gz") else open
            with reading(file, "a list of names"), opened(file, "rt", encoding="utf-8") as lines:
                cells = [line.rstrip("\r\n").split("\t") for line in lines if line.strip()]
            return [row[min(column, len(row) - 1)] for row in cells]
    return None


def unique(names: Sequence[str]) -> tuple[str, ...]:
    """The names, a repeated one with a number behind it, as AnnData makes them.

    >>> unique(["a", "b", "a"])
    ('a', 'b', 'a-1')
    """
    seen: Counter[str] = Counter()
    taken, found = {*names}, []
    for name in names:
        new = name
        while seen[name] and (new in taken or new == name):
            new = f"{name}-{seen[name]}"
            seen[name] += 1
        seen[name] += seen[name] == 0
        taken.add(new)
        found.append(new)
    return tuple(found)


def _kind(x: Any) -> str:
    return "counts" if are_whole(x) else "matrix"


def kind_note(x: Any, part: str) -> str:
    """Say what cells were taken for."""
    n, genes = x.shape
    whole = "counts; to say otherwise: kind='matrix' (--kind matrix)"
    what = whole if are_whole(x) else "measurements, as some are no whole numbers or negative"
    return f"{printable(part)}: {n:,} cells x {genes:,} genes, taken for {what}"


def are_whole(x: Any) -> bool:
    """Tell whether all numbers are whole and none is negative."""
    values = x if isinstance(x, np.ndarray) else x.data
    return not values.size or bool(
        values.min() >= 0 and (values.dtype.kind in "biu" or (values == np.floor(values)).all())
    )
