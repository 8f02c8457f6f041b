"""The named sets: their files, checksums and mirrors. Facts only; each is written here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class File:
    """A file of a named set.

    `md5` is that of the file. `unpacked_md5` is that after gunzip; the folder may hold either form.
    `array_md5` stands in where no checksum of the file was published: md5 of the uint8 array it holds.
    `urls` are mirrors in the order they are tried.
    """

    name: str
    md5: str | None = None
    unpacked_md5: str | None = None
    array_md5: str | None = None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Variant:
    """One of the forms in which a set may lie in its folder."""

    name: str
    files: tuple[File, ...]

    @property
    def downloadable(self) -> bool:
        return all(file.urls for file in self.files)


@dataclass(frozen=True)
class Entry:
    """A named set. Variants are in order of preference; a set without folder comes with the package."""

    description: str
    folder: str | None = None
    variants: tuple[Variant, ...] = ()


def _mnist(name: str, md5: str, unpacked_md5: str) -> File:
    mirrors = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    return File(name, md5, unpacked_md5, urls=tuple(mirror + name for mirror in mirrors))


def _amat(split: str, array_md5: str) -> File:
    name = f"binarized_mnist_{split}.amat"
    mirrors = (
        "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/",
        "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    )
    return File(name, array_md5=array_md5, urls=tuple(mirror + name for mirror in mirrors))


REGISTRY: dict[str, Entry] = {
    "digits": Entry(
        "1,797 handwritten digits of 8 x 8 grey values (E. Alpaydin, C. Kaynak, 1998), from scikit-learn; "
        "train 1,257, valid 180, test 360, fixed permutation"
    ),
    "synthetic": Entry(
        "draws from 1/2 N(0.3, 0.05) + 1/2 N(0.7, 0.05), 0.05 the standard deviation, as in the CP-VAE "
        "paper; train 50,000, valid 10,000, test 10,000"
    ),
    "table": Entry(
        "a drawn table of customers from four sources (`make_table`): numbers, categories and counts, a tenth of the "
        "cells missing; train 3,000, valid 500, test 1,500"
    ),
    "mnist": Entry(
        "MNIST, 28 x 28 grey values (Y. LeCun, C. Cortes, C. Burges, 1998); train the first 50,000 and valid "
        "the last 10,000 of the training images, test 10,000",
        "mnist",
        (
            Variant(
                "mnist",
                (
                    _mnist(
                        "train-images-idx3-ubyte.gz",
                        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                        "6bbc9ace898e44ae57da46a324031adb",
                    ),
                    _mnist(
                        "train-labels-idx1-ubyte.gz",
                        "d53e105ee54ea40749a09fcbcd1e9432",
                        "a25bea736e30d166cdddb491f175f624",
                    ),
                    _mnist(
                        "t10k-images-idx3-ubyte.gz",
                        "9fb629c4189551a2d022fa330f9573f3",
                        "2646ac647ad5339dbf082846283269ea",
                    ),
                    _mnist(
                        "t10k-labels-idx1-ubyte.gz",
                        "ec29112dd5afa0611ce80d1b7f02629c",
                        "27ae3e4e09519cfbb04c329615203637",
                    ),
                ),
            ),
        ),
    ),
    "mnist-static": Entry(
        "statically binarised MNIST (R. Salakhutdinov, I. Murray, 2008; files by H. Larochelle); train "
        "50,000, valid 10,000, test 10,000 in the published order; not comparable with MNIST binarised anew",
        "mnist_static",
        (
            Variant("mnist-static-npz", (File("mnist_static.npz", "0b4e2eaf06fc70385b50f97f6a546d3d"),)),
            Variant(
                "mnist-static-amat",
                (
                    _amat("train", "8d4f0427d6c2572b5e9994e08bad66de"),
                    _amat("valid", "3e33becd40c694040e5e6c812e2f4b50"),
                    _amat("test", "fc34623e13bd64fed2f8b61365198339"),
                ),
            ),
        ),
    ),
    "omniglot": Entry(
        "Omniglot (B. Lake, R. Salakhutdinov, J. Tenenbaum, 2015), 28 x 28 grey values; train 23,000, "
        "valid 1,345, test 8,070; labels are the 50 alphabets",
        "omniglot",
        (
            Variant(
                "omniglot",
                (
                    File(
                        "chardata.mat",
                        "21ecaf34373511aa7691cf2e0802aa3d",
                        urls=(
                            "https://github.com/yburda/iwae/raw/master/datasets/OMNIGLOT/chardata.mat",
                            "https://github.com/jmtomczak/vae_vampprior/raw/master/datasets/OMNIGLOT/chardata.mat",
                        ),
                    ),
                ),
            ),
            Variant("omniglot-rebuilt", (File("omniglot_28x28_gray.npz", "a17be3acfd6c96f97240650281fa4e59"),)),
        ),
    ),
}

NAMES: tuple[str, ...] = tuple(REGISTRY)
