"""Models in folders as hubs of models have them: the model as safetensors, its card as `README.md`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self, cast

from sklearn.utils.validation import check_is_fitted

from cpvae.arguments import as_path
from cpvae.errors import InputError, one_line
from cpvae.estimators import cards, files
from cpvae.extras import needed
from cpvae.files import make_folders
from cpvae.fitting.runs import MODEL

if TYPE_CHECKING:
    from cpvae.estimators.contract import DeepMixture

CARD = "README.md"


class OnHub:
    """The part of an estimator that puts it into folders and on the Hugging Face hub, and takes it from there."""

    def save_pretrained(self, folder: str | Path, *, license: str | None = None) -> None:
        """Write the fitted model and its card into a folder, as a hub has them.

        Args:
            folder: made if it is not there.
            license: as for `cpvae.CPVAE.save`.

        Raises:
            InputError: the folder cannot be written, or has a README.md of somebody else; no name of a licence.
        """
        estimator, place = cast("DeepMixture", self), as_path("folder", folder)
        check_is_fitted(estimator)
        cards.check_free(place / CARD)
        text = cards.card(estimator, MODEL, license)
        try:
            make_folders(place)
        except OSError as error:
            raise InputError(f"{place}: {error.strerror or error}; expected a folder that can be written") from error
        files.write_model(estimator, place / MODEL)
        cards.write(text, place / CARD)

    def push_to_hub(
        self, repo_id: str, *, license: str | None = None, private: bool = False, token: str | None = None
    ) -> str:
        """Put the fitted model and its card on the Hugging Face hub; a repository that is not there is made.

        A model may hold training rows or tell about them; see `cpvae.CPVAE.save` before you share one.

        Args:
            repo_id: owner and name, such as "me/digits".
            license: of the model, such as "cc-by-4.0".
            private: whether a new repository is private.
            token: that of the user; by default the one that huggingface_hub keeps.

        Returns:
            The address of the commit.

        Raises:
            InputError: huggingface_hub is not installed, or the hub did not take the model.
        """
        with needed("push_to_hub"):
            import huggingface_hub
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder, license=license)
            with _told(f"{repo_id}: the hub did not take the model"):
                api = huggingface_hub.HfApi(token=token)
                api.create_repo(repo_id, private=private, exist_ok=True)
                return str(
                    api.upload_folder(
                        repo_id=repo_id, folder_path=folder, commit_message=f"Add a {type(self).__name__}"
                    )
                )

    @classmethod
    def from_pretrained(cls, source: str | Path, *, revision: str | None = None, token: str | None = None) -> Self:
        """Open a model from a folder, or from the Hugging Face hub. Nothing in its files is executed.

        Args:
            source: a folder that `save_pretrained` wrote, or owner and name of a repository on the hub.
            revision: branch, tag or commit on the hub.
            token: that of the user, for a private repository.

        Raises:
            InputError: no such folder or repository, no model in it, or a model of another class.
        """
        from cpvae.estimators.zoo import ESTIMATORS

        folder = as_path("source", source)
        if not os.path.isdir(folder):
            with needed(f"{str(source)!r} is no folder here, and opening it from the hub"):
                import huggingface_hub
            with _told(f"{str(source)!r}: no folder here, and no model on the hub"):
                only = [MODEL, CARD]
                found = huggingface_hub.snapshot_download(
                    str(source), revision=revision, token=token, allow_patterns=only
                )
            folder = Path(found)
        if not (folder / MODEL).is_file():
            raise InputError(f"{str(source)!r} holds no {MODEL}; expected a model that save_pretrained wrote")
        model = files.load(folder / MODEL, ESTIMATORS.values())
        if not isinstance(model, cls):
            name = type(model).__name__
            raise InputError(f"{source} holds a {name}: expected a {cls.__name__}; use {name}.from_pretrained")
        return model


@contextmanager
def _told(what: str) -> Iterator[None]:
    """Say in one line what a hub answered. Any error: it comes from the network, the disk or the hub, by many names."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"{what} ({one_line(error)}); check the name, the token and the network") from error
