#!/usr/bin/env bash
# Builds and pushes the images of this tree as VERSION for both platforms, and puts into the folder
# OUT: the profiles of the tree MAIN with these images, and the bill of what is in each image.
set -euo pipefail
version=$1 main=$2 out=$3
mkdir -p "$out/regions" "$out/bills"
python -m stacks.images --builder podman --base "$BASE" --registry "$REGISTRY" \
  --source "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY" --version "$version" \
  --platform linux/amd64 --platform linux/arm64 --json >"$out/images.json"
address() {
  jq --raw-output --arg name "$1" --arg tag ":$version@" '.[$name] | sub("@"; $tag)' "$out/images.json"
}
while read -r region; do
  cp "$main/regions/$region.yaml" "$out/regions"
done < <(cd "$main" && .github/scripts/regions.sh | jq --raw-output '.[]')
isoserve image pin --set "agent_image=$(address cache-agent)" \
  --set "prober_image=$(address prober)" "$out"/regions/*.yaml
for name in cache-agent prober; do
  image=$(jq --raw-output --arg name "$name" '.[$name]' "$out/images.json")
  podman run --rm --entrypoint cat "$image" /usr/share/isoserve/sbom.cdx.json >"$out/bills/$name.cdx.json"
done
