#!/usr/bin/env bash
# Prints the regions of this tree as a JSON list for a matrix; the sandbox's are of one machine only.
set -euo pipefail
find regions -maxdepth 1 -name '*.yaml' ! -name 'sandbox-*' -printf '%f\n' |
  sort | sed 's/\.yaml$//' | jq --raw-input . | jq --slurp --compact-output .
