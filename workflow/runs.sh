#!/usr/bin/env bash
# Run what the stores lack, from a clean worktree of the present commit: workflow/runs.sh PROFILE [what genclust plan takes]
# PYTHON and SNAKEMAKE name the two programs, by full paths.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
profile=$1
shift
if [ ! -d "$here/workflow/profiles/$profile" ]; then
  echo "runs: there is no profile $profile; there are $(ls "$here/workflow/profiles" | paste -sd' ')." >&2
  exit 1
fi
export PYTHONPATH=$here/src
# As full paths, since what follows works in another folder.
GENCLUST_CACHE=$("$PYTHON" -c 'from genclust.paths import cache_folder; print(cache_folder().absolute())')
GENCLUST_DATA=$("$PYTHON" -c 'from genclust.data import catalogue; print(catalogue.folder().absolute())')
export GENCLUST_CACHE GENCLUST_DATA

commit=$(git -C "$here" rev-parse --short=12 HEAD)
source=$GENCLUST_CACHE/source/$commit
if [ -e "$source" ] && [ ! -O "$source" ]; then
  echo "runs: $source belongs to another user; set GENCLUST_CACHE to a folder of your own." >&2
  exit 1
fi
mkdir -p "$GENCLUST_CACHE/source"
exec 9> "$GENCLUST_CACHE/source/lock"
if command -v flock > /dev/null; then flock 9; fi # another start may be checking out the same commit
if ! git -C "$source" diff --quiet HEAD 2>/dev/null; then # not there, or half checked out by a run that was killed
  rm -rf "$source"
  git -C "$here" worktree prune
  git -C "$here" worktree add --quiet --detach "$source" "$commit"
fi
exec 9>&-
if [ -n "$(git -C "$here" status --porcelain src experiments workflow papers.yaml)" ]; then
  echo "runs: this is commit $commit; what has not been committed is not run." >&2
fi

cd "$source"
export PYTHONPATH=$source/src
mkdir -p "$GENCLUST_CACHE/workflow"
plan=$GENCLUST_CACHE/workflow/plan-$(date +%Y%m%d-%H%M%S)-$$.json
trap 'rm -f "$plan.new"' EXIT
"$PYTHON" -m genclust plan "$@" --json > "$plan.new"
mv "$plan.new" "$plan"
exec "$SNAKEMAKE" --snakefile "$source/workflow/Snakefile" --directory "$GENCLUST_CACHE/workflow" \
  --workflow-profile "$source/workflow/profiles/$profile" --configfile "$plan"
