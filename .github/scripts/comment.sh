#!/usr/bin/env bash
# Keeps one comment of ours on a pull request: made once, then edited.
set -euo pipefail
repository=$1 pull_request=$2 body=$3
comments="repos/$repository/issues/$pull_request/comments"
ours='.[] | select(.user.type == "Bot" and (.body | startswith("<!-- isoserve review -->"))) | .id'
id=$(gh api "$comments" --paginate --jq "$ours" | head -n 1)
if [ -n "$id" ]; then
  gh api "repos/$repository/issues/comments/$id" --method PATCH --field "body=@$body" --silent
else
  gh api "$comments" --method POST --field "body=@$body" --silent
fi
