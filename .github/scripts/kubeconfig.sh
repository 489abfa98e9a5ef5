#!/usr/bin/env bash
# Writes the kubeconfig context that a region's profile names. On-prem runners bring their own.
set -euo pipefail
plan=$(isoserve plan --region "$1" --json)
read -r provider name context region < <(
  jq --raw-output '.[] | [.provider, .cluster.name, .cluster.context, .account.region] | @tsv' \
    <<<"$plan"
)
if [ "$provider" = aws ]; then
  aws eks update-kubeconfig --name "$name" --alias "$context" --region "$region"
fi
