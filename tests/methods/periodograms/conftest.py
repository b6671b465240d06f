from variable_curves import curves, ragged, separate  # noqa: F401  (fixtures)
