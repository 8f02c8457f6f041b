"""Files: modes, links, folders, encodings, reading."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cpvae import InputError, files


@contextmanager
def umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize("mask", [0o077, 0o022, 0o002])
def test_new_files_have_the_mode_that_the_umask_leaves(mask, tmp_path):
    with umask(mask):
        files.write_atomic(tmp_path / "a", "new")
        files.append_line(tmp_path / "b", "new")
    assert mode(tmp_path / "a") == mode(tmp_path / "b") == 0o666 & ~mask


@pytest.mark.parametrize("there", [0o600, 0o640, 0o664, 0o755])
def test_an_existing_file_keeps_its_mode(there, tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_text("old")
    path.chmod(there)
    seen = []
    fsync = os.fsync

    def look(file: int) -> None:
        seen.append(os.fstat(file).st_mode & 0o777)
        fsync(file)

    monkeypatch.setattr(files.os, "fsync", look)
    with umask(0):
        files.write_atomic(path, "new")
        files.append_line(path, " and more")
    assert path.read_text() == "new and more\n"
    assert mode(path) == there
    assert seen == [there]  # nor was it readable by others while it was written


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write what is read-only")
def test_a_file_that_is_read_only_is_not_replaced(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o400)
    with pytest.raises(InputError, match="read-only"):
        files.write_atomic(tmp_path / "a", "new")


def test_a_link_is_replaced_and_what_is_behind_it_stays(tmp_path):
    (tmp_path / "precious").write_text("mine")
    for name in ("a", "b"):
        (tmp_path / name).symlink_to("precious")
    files.write_atomic(tmp_path / "a", "new")
    with pytest.raises(InputError, match="cannot write"):
        files.append_line(tmp_path / "b", "new")
    assert (tmp_path / "precious").read_text() == "mine"
    assert (tmp_path / "a").read_text() == "new"
    assert not (tmp_path / "a").is_symlink()


def test_a_link_that_the_user_named_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "loop").symlink_to("loop")
    assert files.behind(tmp_path / "link") == Path(os.path.realpath(tmp_path / "there"))
    assert files.behind(tmp_path / "file") == tmp_path / "file"
    with pytest.raises(InputError, match="loop"):
        files.behind(tmp_path / "loop")


def test_two_thousand_nested_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    deep = Path("/".join("a" * 1800))
    made = files.make_folders(deep)
    assert len(made) == 1800
    assert made[0] == deep
    files.write_atomic(deep / "b", "x")
    (deep / "b").unlink()
    for place in made:
        place.rmdir()
    with pytest.raises(InputError, match="File name too long"):
        files.write_atomic(Path("/".join("a" * 2200)) / "b", "x")
    assert not [*tmp_path.iterdir()]


def test_names_and_text_that_are_not_utf_8(tmp_path):
    for name in ("数" * 80, "é" * 120, "\udcff\udce9"):
        files.write_atomic(tmp_path / name, f"of {name}")
        assert len((tmp_path / name).read_text()) > 3
    assert (tmp_path / "\udcff\udce9").read_text() == "of \\udcff\\udce9"
    assert len([*tmp_path.iterdir()]) == 3


def test_what_is_no_file_or_has_no_end_is_not_read(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_text("[1, 2, 3]")
    (tmp_path / "of Windows").write_text('\ufeff{"a": 1}')
    assert files.read_json(tmp_path / "of Windows", "an object", "") == {"a": 1}
    monkeypatch.setattr(files, "LONGEST", 8)
    for name, expected in {
        "pipe": "neither a file nor a folder",
        "/dev/zero": "neither a file nor a folder",
        "": "a folder",
        "large": "more than 8 bytes",
        "none": "No such file",
    }.items():
        with pytest.raises(InputError, match=expected):
            files.read_json(tmp_path / name, "an object", "give another")
