"""The training loop: where it begins, how long it runs, on what, what it leaves. Imports `probability` and below."""
