#!/usr/bin/env bash
# Previews one region under the rules. What the engine says is kept even when it fails: the review
# shows a failed preview as a row, never as an absence.
set -euo pipefail
region=$1 events=$2
mkdir -p "$(dirname "$events")"
PULUMI_ENABLE_STREAMING_JSON_PREVIEW=true \
  pulumi preview --stack "$region" --policy-pack policies --non-interactive --json >"$events"
