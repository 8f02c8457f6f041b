"""The models as scikit-learn estimators: arguments, rows in, answers, files. Imports `fitting` and below."""
