#!/bin/sh
# A data set by 64 tasks of a SLURM array, then joined:
#
#     shards=$(sbatch --parsable --array=0-63 examples/slurm-array.sh RECIPE OUT)
#     sbatch --dependency=afterok:$shards --wrap "blemish gather OUT"
#
# OUT must be on a disk that all nodes share. A task that was killed or requeued resumes. To run some
# tasks again, name them and the number of shards: SHARD=auto/64 sbatch --array=3,17 ...

#SBATCH --job-name=blemish
#SBATCH --cpus-per-task=8
#SBATCH --mem=8G
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --open-mode=append

exec blemish batch "$1" --out "$2" --shard "${SHARD:-auto}" --workers "${SLURM_CPUS_PER_TASK:-1}"
