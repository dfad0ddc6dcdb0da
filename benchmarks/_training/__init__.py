"""Parts of `benchmarks.training`: trials, runs, measurements, and a table."""
