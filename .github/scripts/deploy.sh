#!/usr/bin/env bash
# Brings one region to what the tree says: previewed under the rules, gated, then made. What is made
# is the plan that was judged: an operation beyond it ends the `up` before it is done.
set -euo pipefail
region=$1 events=$2
# One moment for all that follows: no ttl passes between what was judged and what is made.
ISOSERVE_AT=${ISOSERVE_AT:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
export ISOSERVE_AT
plan=$(mktemp -d)
trap 'rm -rf "$plan"' EXIT
"$(dirname "$0")/preview.sh" "$region" "$events" "$plan/plan.json"
# Rules never see a deletion; the review reads the preview's steps and refuses what must stay.
isoserve review --base HEAD --region "$region" --preview "$events"
pulumi up --stack "$region" --yes --skip-preview --plan "$plan/plan.json" \
  --policy-pack policies --non-interactive
