#!/usr/bin/env bash
# Brings one region to what the tree says: previewed under the rules, gated, then made.
set -euo pipefail
region=$1 events=$2
"$(dirname "$0")/preview.sh" "$region" "$events"
# Rules never see a deletion; the review reads the preview's steps and refuses what must stay.
isoserve review --base HEAD --region "$region" --preview "$events"
pulumi up --stack "$region" --yes --skip-preview --policy-pack policies --non-interactive
