"""Fit digits for some seconds, save, load and sample: what an installation must do with the core alone."""

from __future__ import annotations

import tempfile
from pathlib import Path

from sklearn.datasets import load_digits

import cpvae


def main() -> None:
    """Use the estimator once from beginning to end."""
    rows = load_digits().images / 16
    model = cpvae.CPVAE(n_components=10, hidden=(64,), max_epochs=2, init="kmeans", random_state=0).fit(rows)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "digits.cpvae")
        model.save(path)
        again = cpvae.load(path)
    assert (again.predict(rows) == model.predict(rows)).all()
    new, _ = again.sample(4, component=3)
    print(f"cpvae {cpvae.__version__}: bound {again.score(rows):.1f} nats, new rows {new.shape}")


if __name__ == "__main__":
    main()
