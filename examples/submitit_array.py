"""A data set by a SLURM array that submitit starts, then joined.

    python submitit_array.py RECIPE OUT

submitit is not a part of Blemish: python -m pip install submitit. Without SLURM, its AutoExecutor
runs the same on this machine.
"""

import sys

import submitit  # pyright: ignore[reportMissingImports]

SHARDS, WORKERS = 64, 8

recipe, out = sys.argv[1:]
executor = submitit.AutoExecutor(folder="submitit-logs")
executor.update_parameters(timeout_min=240, cpus_per_task=WORKERS, mem_gb=8)
batch = ["blemish", "batch", recipe, "--out", out, "--workers", str(WORKERS)]
with executor.batch():
    jobs = [
        executor.submit(submitit.helpers.CommandFunction([*batch, "--shard", f"{k + 1}/{SHARDS}"]))
        for k in range(SHARDS)
    ]
for job in jobs:
    job.result()
print(submitit.helpers.CommandFunction(["blemish", "gather", out])())
