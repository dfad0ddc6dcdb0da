"""Parts of `benchmarks.training`: its trials, their runs, what is measured of them, and a table."""
