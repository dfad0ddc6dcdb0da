"""Reproduction of all figures: `python -m benchmarks.reproduce bottle|hazelnut`; see `__main__`."""
