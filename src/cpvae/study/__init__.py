"""Questions to fitted models: quality, comparison, choice, figures, reports. Imports `estimators` and below."""
