"""Estimators that put rows into categories, and what they say of these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, TypeGuard

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted

from cpvae.arguments import between, whole
from cpvae.data.row_kinds import Given
from cpvae.estimators import describing
from cpvae.estimators.contract import EVALUATION_DRAWS, DeepMixture
from cpvae.estimators.groups import OVERLAP, draws_each, join, overlaps
from cpvae.estimators.novelty import odd
from cpvae.estimators.params import argument, takes_arguments, whole_from
from cpvae.nn.draws import seeded
from cpvae.probability.estimates import component_probabilities
from cpvae.words.description import Description
from cpvae.words.names import changed
from cpvae.words.tree import Tree


@takes_arguments
class Clusterer(DeepMixture):
    """A model whose prior has components; it says which component a row came from."""

    has_components = True
    n_components: int = argument(whole_from(1), default=10, kw_only=False)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Compute the probability of each component for each row, ``(n, K)``.

        CP-VAE gives q(c | x) if it was fitted with copies of its rows, and ``softmax_c [log p(c) + ELBO_c(x)]``
        otherwise. Copies of tables lack cells; there it gives q(c | x) of rows with missing cells alone. Models with a
        mixture over z alone give the responsibility ``E_{q(z|x)} p(c | z)``. For grey levels that pixels are drawn
        from, the answer is the mean over observations of the row (`evaluate`).
        """
        check_is_fitted(self)
        return self._by_copies(X) if self._knows_copies else self.evaluate(X).proba

    @property
    def _knows_copies(self) -> bool:
        return self.consistent_ and self.schema_ is None

    def _by_copies(self, X: ArrayLike) -> np.ndarray:
        return np.concatenate([self._encoded(y, EVALUATION_DRAWS) for y in self._units(X)])

    def judge(self, X: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
        """Give what `predict_proba` and `score_samples` give, together: ``(n, K)`` and ``(n,)``, nats."""
        check_is_fitted(self)
        found = self.evaluate(X)
        return self._by_copies(X) if self._knows_copies else found.proba, found.elbo

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Find the likeliest component of each row, int ``(n,)``."""
        return self.predict_proba(X).argmax(1)

    def predict_frame(self, X: ArrayLike, *, lowest: float | None = None) -> pd.DataFrame:
        """Find the likeliest component of each row, and its probability, as a data frame ``(n, 2)``.

        The columns are `category` (int64) and `probability` (float64). Where categories have names, `category_name`
        stands between them. The index is that of X. Each row is answered for by itself, so that the parts of a large
        table can be given one by one, in any process: ``map(model.predict_frame, frames)``. A part may have no rows.

        Args:
            X: rows.
            lowest: a bound, nats, such as `cpvae.estimators.novelty.lowest` gives; a third column, `odd` (bool), then
                says which rows lie below it.

        Examples:
            >>> import numpy as np
            >>> import pandas as pd
            >>> from cpvae import CPVAE
            >>> X = pd.DataFrame(np.random.RandomState(0).normal(size=(60, 3)), columns=list("abc"))
            >>> model = CPVAE(2, latent_dim=1, hidden=(4,), max_epochs=1, random_state=0).fit(X)
            >>> parts = pd.concat(map(model.predict_frame, [X[:20], X[20:20], X[20:]]))
            >>> parts.shape, bool((parts["category"] == model.predict(X)).all())
            ((60, 2), True)
        """
        check_is_fitted(self)
        index = X.index if isinstance(X, (pd.DataFrame, pd.Series)) else None
        rows: Any = X.values if isinstance(X, Given) else X
        n = int(rows.shape[0]) if hasattr(rows, "shape") else len(rows)
        proba, elbo = np.zeros((0, self.n_components_)), np.zeros(0)
        if n and lowest is not None:
            proba, elbo = self.judge(X)
        elif n:
            proba = self.predict_proba(X)
        categories = proba.argmax(1)
        found: dict[str, Any] = {"category": categories.astype(np.int64)}
        if self.names_:
            found["category_name"] = pd.array([self.names_.get(int(k), "") for k in categories], dtype="str")
        found["probability"] = proba.max(1).astype(np.float64)
        if lowest is not None:
            found["odd"] = odd(self, self._check_rows(X, reset=False), elbo, lowest) if n else np.zeros(0, dtype=bool)
        return pd.DataFrame(found, index=index)

    def fit_predict(self, X: ArrayLike, y: Any = None, *, known: ArrayLike | None = None) -> np.ndarray:
        """Call `fit`, then find the component of each row from the row alone, also where it was `known`."""
        return self.fit(X, y, known=known).predict(X)

    def describe(self, X: ArrayLike) -> Description:
        """Say in words and numbers what each category is, by rows.

        For each category: its size, the columns that set it apart from all other rows in the units of the data, typical
        rows, and rows on the border to another category. A column is told only if a rank test finds it and a bootstrap
        interval of its effect excludes small ones (`cpvae.words.contrasts`); so noise is not described. Counts are
        compared at equal totals. Images and signals are compared by measures
        (`cpvae.words.measures`), and have means and spreads besides. Print the answer to read
        it, or take `to_frame()`.

        Args:
            X: rows as for `predict`, ``(n, ...)``; those of the fit, or new ones.

        Raises:
            InputError: the model does not take these rows.

        Examples:
            >>> import numpy as np
            >>> import pandas as pd
            >>> from cpvae import CPVAE
            >>> random = np.random.RandomState(0)
            >>> length = np.append(random.normal(10, 1, 60), random.normal(90, 1, 40)).round(1)
            >>> X = pd.DataFrame({"length": length, "noise": random.normal(size=100)})
            >>> model = CPVAE(2, latent_dim=1, hidden=(8,), max_epochs=30, batch_size=10, random_state=0).fit(X)
            >>> description = model.rename({model.predict(X)[0]: "short"}).describe(X)
            >>> description.largest_first[0].name, description.largest_first[0].traits
            ('short', 'length 10.1 (others 90)')
        """
        check_is_fitted(self)
        return describing.describe(self, X)

    def tree(self, X: ArrayLike) -> Tree:
        """Say which categories join first: those that share most rows, as `cpvae.words.tree` measures it.

        No fit is repeated. Print the answer to read it; it has the form of SciPy's hierarchies in `linkage()`.

        Args:
            X: rows as for `predict`, ``(n, ...)``.

        Raises:
            InputError: the model does not take these rows.
        """
        check_is_fitted(self)
        return describing.tree(self, X)

    def rename(self, names: Mapping[int | str, str | None]) -> Self:
        """Give names to categories: `save` keeps them, descriptions, reports and files show them, `sample` takes them.

        Args:
            names: category -> name of at most 60 characters, or None to take a name away. Others keep theirs. A
                category is a number, or the name that it has.

        Raises:
            InputError: no such category; no text, or one too long; two names alike. One line names all faults.
        """
        check_is_fitted(self)
        self.names_ = changed(self.names_, names, self.n_components_)
        return self

    @torch.no_grad()
    def overlaps(self, n_samples: int | None = None) -> np.ndarray:
        """Measure how much the generated rows of each pair of components overlap, ``(K, K)``.

        See `cpvae.estimators.groups.overlaps`.

        Args:
            n_samples: number of rows drawn from each component, the same rows at each call; by default 200, and fewer
                if there are more than a hundred components.
        """
        check_is_fitted(self)
        n_samples = draws_each(self.n_components_) if n_samples is None else n_samples
        whole("n_samples", n_samples, 1)
        model, proba = self.model_, []
        with seeded(0):
            for k in range(self.n_components_):
                rows = model.sample(torch.full((n_samples,), k, device=model.device), False)
                proba.append(component_probabilities(model, model.likelihood.to_model(rows)).numpy(force=True))
        return overlaps(proba)

    def groups(self, least: float = OVERLAP) -> np.ndarray:
        """Find components that share a source, after a fit with more components than sources.

        Args:
            least: overlap from which two components are joined, between 0 and 1.

        Returns:
            The group of each component, integers ``(K,)``. Group 0 has the most rows; -1 marks components not in use.
        """
        check_is_fitted(self)
        between("least", least, 0.0, 1.0)
        return join(self.overlaps(), self.weights_, least)


def clusters(model: DeepMixture) -> TypeGuard[Clusterer]:
    """Say whether a model puts rows into categories."""
    return model.has_components
