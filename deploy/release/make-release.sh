#!/bin/sh
# Makes what a release consists of: the source archive, its bills of materials, and the checksums of all of them.
# Usage: deploy/release/make-release.sh DIRECTORY
set -eu
cd "$(dirname "$(readlink -f "$0")")/../.."
[ $# -eq 1 ] || { echo "usage: $0 DIRECTORY" >&2; exit 2; }
[ -z "$(git status --porcelain)" ] || { echo "the working tree has changes: a release is made of a commit" >&2; exit 1; }

version=$(node -p 'require("./package.json").version')
name=torwart-$version
mkdir -p "$1"
out=$(readlink -f "$1")

# Without the time of packing: whoever packs the same commit gets the same bytes.
git archive --prefix="$name/" HEAD | gzip -n9 > "$out/$name.tar.gz"
# From the lock file, and only what a production installation has.
npm sbom --package-lock-only --omit=dev --sbom-type=application --sbom-format=cyclonedx > "$out/$name.cdx.json"
npm sbom --package-lock-only --omit=dev --sbom-type=application --sbom-format=spdx > "$out/$name.spdx.json"
cd "$out"
sha256sum "$name.tar.gz" "$name.cdx.json" "$name.spdx.json" > "$name.sha256"
cat "$name.sha256"
