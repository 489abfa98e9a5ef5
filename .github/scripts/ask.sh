#!/usr/bin/env bash
# Asks the program of a pull request what it makes, and leaves its answer in a file.
set -euo pipefail
base=$1 answer=$2
mapfile -t regions < <("$(dirname "$0")/regions.sh" | jq --raw-output '.[]')
isoserve review --base "$base" --ask "$answer" "${regions[@]/#/--region=}"
