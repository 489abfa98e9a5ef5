#!/usr/bin/env bash
# Fails when a region is not what the tree says, or breaks a rule. It writes no state.
set -euo pipefail
pulumi preview --stack "$1" --refresh --expect-no-changes --diff \
  --policy-pack policies --non-interactive
