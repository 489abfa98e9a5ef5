#!/usr/bin/env bash
# Brings one region to what the tree says: previewed under the rules, gated, then made under the
# rules. No saved plan (`pulumi up --plan`): what comes after a gate is registered once the gate has
# passed, so that the RolloutGate's dependencies are others than in the preview, and the engine
# (v3.200.0) refuses it as a violation of the plan.
set -euo pipefail
region=$1 events=$2
# One moment for all that follows: no ttl passes between what was judged and what is made.
ISOSERVE_AT=${ISOSERVE_AT:-$(date -u +%Y-%m-%dT%H:%M:%SZ)}
export ISOSERVE_AT
"$(dirname "$0")/preview.sh" "$region" "$events"
# Rules never see a deletion; the review reads the preview's steps and refuses what must stay.
isoserve review --base HEAD --region "$region" --preview "$events"
# An object that the API server refuses holds up what comes after it, and no other project; such an
# `up` fails in the end, so that no next wave begins, and deletes nothing.
pulumi up --stack "$region" --yes --skip-preview --continue-on-error --policy-pack policies \
  --non-interactive
