"""Single cells: AnnData's `.h5ad` and `.zarr`, and what 10x Genomics' programs write, `.mtx` folders and `.h5`.

Rows are cells, columns are genes; both keep their names. Where all numbers are whole they are counts.

A large matrix of AnnData stays on the disk: it is written once into the cache, some cells at a time, and mapped into
memory (`cpvae.data.loaders.mapped`). One that is sparse stays so. A matrix that is kept gene by gene is read whole.
"""

from __future__ import annotations

import gzip
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from cpvae.data.limits import blocks, check_memory
from cpvae.data.loaders import mapped
from cpvae.data.loaders.checks import check_x, input_error, numeric, printable, reading
from cpvae.data.loaders.hdf5 import opened_hdf5
from cpvae.data.loaders.records import Array, Asked, Opened, Split
from cpvae.data.loaders.tables import label_column
from cpvae.errors import nearest
from cpvae.extras import needed

MATRIX = ("matrix.mtx", "matrix.mtx.gz")
GENES = "Gene Expression"  # what 10x Genomics' programs call them, beside antibodies and others
BYTES_AN_ENTRY = 64  # of a sparse matrix while it is read: row, column and value, and a copy
AT_ONCE = 2**21  # numbers of a matrix that are in memory while it is written into the cache
ZARR = ".zarr"  # the end of the name of a folder
OBJECT = "an AnnData file"


def is_anndata(file: Any) -> bool:
    """Tell whether AnnData wrote an HDF5 file."""
    return "X" in file and "obs" in file and "var" in file


def has_layers(path: Path) -> bool:
    """Tell whether a path may have layers: an `.h5ad`, a `.zarr`, or an HDF5 file that AnnData wrote.

    Raises:
        InputError: no h5py, or a damaged file.
    """
    suffix = path.suffix.lower()
    if suffix not in (".h5", ".hdf5") or not path.is_file():
        return suffix in (".h5ad", ZARR)
    with opened_hdf5(path) as file:
        return is_anndata(file)


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """Open the HDF5 file, or the Zarr folder, that AnnData wrote.

    Raises:
        InputError: no anndata, or a damaged file.
    """
    with reading(path, OBJECT), needed(f"{path}: reading it"):
        import h5py  # noqa: F401
        from anndata.io import read_elem  # noqa: F401
    if path.suffix.lower() != ZARR:
        with opened_hdf5(path, OBJECT) as file:
            yield file
        return
    with reading(path, OBJECT), needed(f"{path}: reading it"):
        import zarr
    with reading(path, OBJECT):
        yield zarr.open_group(path, mode="r")


def read_anndata(path: Path, asked: Asked) -> Opened:
    """Read the cells of an AnnData file: its X, or the layer asked for; labels are a column of `obs`.

    Raises:
        InputError: no anndata, no such layer or column, or a damaged file.
    """
    with opened(path) as file:
        from anndata.io import read_elem

        part, others = matrix_of(file, path, asked)
        notes = list[str]()
        if hasattr(file["obs"], "dtype"):  # a table of records, as they were written before AnnData 0.7
            from anndata.io import read_h5ad

            whole = read_h5ad(path)
            of = whole.raw if part.startswith("raw") else whole
            x, obs = check_x(of.X, f"{path}[{part}]"), whole.obs
            cells, genes = obs.index.astype(str), of.var.index
        else:
            x, notes = _matrix(file[part], path, part)
            cells, genes = names_of(file["obs"]), genes_of(file, part)
            obs = None if asked.labels is None else read_elem(file["obs"])
        y, missing = None, list[str]()
        if asked.labels is not None and not Path(asked.labels).is_file():
            check_column(asked.labels, obs, path)
            y, missing = label_column(obs[asked.labels], asked.labels, path)
        notes = [kind_note(x, part), *notes, *missing]
        if others and asked.layer is None:
            notes.append(
                f"X was read; the file also has {', '.join(others)}: for one say layer={others[0]!r} (--layer)"
            )
        splits = {"all": Split(x, y, np.array(cells))}
    return Opened(splits, _kind(x), unique(list(map(str, genes))), tuple(notes), y is not None)


@dataclass(frozen=True)
class Stored:
    """A matrix in a file of AnnData whose rows can be read some at a time.

    Attributes:
        path: the file.
        part: the matrix.
        genes: the names of its columns.
        shape: of the matrix.
    """

    path: Path
    part: str
    genes: tuple[str, ...]
    shape: tuple[int, ...]

    def take(self, start: int, stop: int) -> Opened:
        """Read some rows.

        Raises:
            InputError: a damaged file, or numbers that cannot be used.
        """
        with opened(self.path) as file:
            x = check_x(take(file[self.part], self.shape, start, stop), f"{self.path}[{self.part}]")
            names = names_of(file["obs"], slice(start, stop))
        return Opened({"all": Split(x, None, names)}, _kind(x), self.genes)


def stored(path: Path, asked: Asked) -> Stored | None:
    """Find the matrix asked for in a file of AnnData; None of one that has to be read whole.

    Raises:
        InputError: no such layer or column, or a damaged file.
    """
    with opened(path) as file:
        if hasattr(file["obs"], "dtype"):  # written before AnnData 0.7
            return None
        part, _ = matrix_of(file, path, asked)
        shape = shape_by_rows(file[part])
        if asked.labels is not None:
            check_column(asked.labels, list(file["obs"]), path)
        if shape is None or len(shape) != 2:
            return None
        return Stored(path, part, unique(genes_of(file, part).tolist()), shape)


def matrix_of(file: Any, path: Path, asked: Asked) -> tuple[str, list[str]]:
    """Name the matrix asked for in a file of AnnData, and the others that there are: layers, and raw.

    Raises:
        InputError: no such layer.
    """
    layers = list(file["layers"]) if "layers" in file else []
    raw = "raw.X" if "raw.X" in file else "raw/X"
    places = {"X": "X"} if "X" in file else {}
    places |= {name: f"layers/{name}" for name in layers} | ({"raw": raw} if raw in file else {})
    name = "X" if asked.layer is None else asked.layer
    if name not in places:
        hint = nearest(name, places) if places else "; expected cells x genes"
        raise input_error(f"{path}: no layer {name!r}{hint}")
    return places[name], [other for other in places if other != name]


def check_column(name: str, obs: Any, path: Path) -> None:
    """Refuse a column of labels that is not there.

    Args:
        obs: the table of the cells, or its columns.
    """
    if name not in obs:
        raise input_error(f"{path}: no column {name!r} in obs{nearest(name, [*obs][:20])}")


def names_of(frame: Any, rows: slice = slice(None)) -> np.ndarray:
    """Read the names of some rows of a table that AnnData wrote, text ``(n,)``; other columns stay unread."""
    from anndata.io import read_elem

    index = frame[frame.attrs["_index"]]
    if not hasattr(index, "dtype"):  # text of which some may be missing
        return np.asarray(read_elem(index)[rows], dtype=object).astype(str)
    is_text = hasattr(index, "asstr") and index.dtype.kind in "OS"
    return np.asarray((index.asstr() if is_text else index)[rows], dtype=object).astype(str)


def genes_of(file: Any, part: str) -> np.ndarray:
    """Read the names of the columns of a matrix."""
    return names_of(file["raw/var" if part.startswith("raw") else "var"])


def shape_by_rows(element: Any) -> tuple[int, ...] | None:
    """Give the shape of a matrix in its file, or None of one that is kept gene by gene, whose rows cannot be taken."""
    from anndata.io import sparse_dataset

    if hasattr(element, "dtype"):
        return tuple(map(int, element.shape))
    stored = sparse_dataset(element)
    return tuple(map(int, stored.shape)) if stored.format == "csr" else None


def take(element: Any, shape: tuple[int, ...], start: int, stop: int) -> Any:
    """Read some rows of a matrix in its file, an array or a sparse one.

    AnnData's own matrices on the disk rest on what scipy keeps private, and some versions of both do not go together.
    The arrays that a sparse matrix is kept in are the same in all versions.
    """
    from scipy.sparse import csr_array

    if hasattr(element, "dtype"):
        return np.asarray(element[start:stop])
    starts = np.asarray(element["indptr"][start : stop + 1], dtype=np.int64)
    first, last = int(starts[0]), int(starts[-1])
    entries = element["data"][first:last], element["indices"][first:last], starts - first
    rows = csr_array(entries, shape=(stop - start, shape[1]))
    rows.check_format()
    rows.sum_duplicates()
    return rows


def _matrix(element: Any, path: Path, part: str) -> tuple[Any, list[str]]:
    """Read a matrix, or map it into memory where it is large; also say what was in the way."""
    from anndata.io import read_elem

    where, notes = f"{path}[{part}]", list[str]()
    shape, shapes = shape_by_rows(element), _shapes(element)
    if mapped.size_of(shapes) > mapped.LARGE:
        if shape is None:
            notes = [f"{part} is kept gene by gene and was read whole; to read it by cells, save it as X.tocsr()"]
        elif element_kind(element) in "biuf":
            write = partial(_write_dense if "" in shapes else _write_sparse, element, shape, path)
            files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
            found = mapped.mapped(files, part, str(path), shapes, write)
            if found is not None:
                return check_x(_joined(found, shape), where), notes
    check_memory(mapped.size_of(shapes), where, "fewer cells")
    return check_x(read_elem(element), where), notes


def element_kind(element: Any) -> str:
    """Say what the numbers of a matrix are, as `numpy.dtype.kind` does."""
    return str((element if hasattr(element, "dtype") else element["data"]).dtype.kind)


def _shapes(element: Any) -> mapped.Shapes:
    """Give the shapes of the arrays of a matrix."""
    if hasattr(element, "dtype"):
        return {"": (tuple(map(int, element.shape)), element.dtype.newbyteorder("="))}
    n, starts = element["data"].shape[0], element["indptr"].shape[0]
    places = np.dtype(np.int32 if n < 2**31 else np.int64)  # of one kind, as scipy wants it
    own = element["data"].dtype.newbyteorder("=")
    return {"data": ((n,), own), "indices": ((n,), places), "indptr": ((starts,), places)}


def _write_dense(element: Any, shape: tuple[int, ...], path: Path, files: mapped.Files) -> bool:
    """Write a matrix, some rows at a time; False where its numbers would change their kind."""
    step = max(1, AT_ONCE // max(1, math.prod(shape[1:])))
    for start in range(0, shape[0], step):
        with reading(path, OBJECT):
            block = numeric(take(element, shape, start, min(start + step, shape[0])), path)
        if block.dtype != element.dtype.newbyteorder("="):
            return False
        files[""].write(np.ascontiguousarray(block).data)
    return True


def _write_sparse(element: Any, shape: tuple[int, ...], path: Path, files: mapped.Files) -> bool:
    """Write a sparse matrix, its entries in order; False where one is there twice, or numbers would change."""
    starts, start = np.asarray(element["indptr"][:], dtype=np.int64), 0
    places = np.dtype(np.int32 if starts[-1] < 2**31 else np.int64)
    while start < shape[0]:
        stop = max(start + 1, int(np.searchsorted(starts, starts[start] + AT_ONCE, "right")) - 1)
        with reading(path, OBJECT):
            block = take(element, shape, start, stop)
            values = numeric(block.data, path)
        if len(values) != starts[stop] - starts[start] or values.dtype != element["data"].dtype.newbyteorder("="):
            return False
        files["data"].write(values.data)
        files["indices"].write(block.indices.astype(places).data)
        start = stop
    files["indptr"].write(starts.astype(places).data)
    return True


def _joined(arrays: dict[str, Array], shape: tuple[int, ...]) -> Any:
    """Give a matrix whose parts are mapped into memory."""
    from cpvae.data.sparse import SparseRows

    if "" in arrays:
        return arrays[""]
    n, genes = shape
    return SparseRows((arrays["data"], arrays["indices"], arrays["indptr"]), shape=(n, genes))


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
    whole = values.dtype.kind in "biu"
    return all(
        not part.size or bool(part.min() >= 0 and (whole or (part == np.floor(part)).all()))
        for _, part in blocks(values)
    )
