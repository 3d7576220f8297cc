#!/bin/sh
# All set-up that the npm scripts need: Debian packages, npm packages, and a pinned Node through npm.
# Says what it installs; a second run installs nothing and says nothing.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

wanted() { sed 's/#.*//' "$@" | awk 'NF { print $1 }'; }

missing() {
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$package" 2>/dev/null)" = 'ii ' ] || printf '%s ' "$package"
  done
}

debian() {
  command -v dpkg-query >/dev/null || die 'this is no Debian: install by hand what tools/packages.txt names, then set WEFT_NO_APT=1'
  packages=$(missing $(wanted tools/packages.txt tools/packages-image.txt tools/packages-browser.txt) \
    $( { command -v go >/dev/null && wanted tools/packages-cluster.txt; } || true) \
    $( { [ "$(dpkg --print-architecture)" = amd64 ] && wanted tools/packages-kernel.txt; } || true))
  [ -n "$packages" ] || return 0
  [ "$(id -u)" = 0 ] || die "these Debian packages are missing, and only root can install them: $packages"
  say "installing Debian packages: $packages"
  export DEBIAN_FRONTEND=noninteractive
  apt-get -o DPkg::Lock::Timeout=300 -qq update || die 'apt-get update failed: is the network there?'
  # shellcheck disable=SC2086
  apt-get -o DPkg::Lock::Timeout=300 -qq -y --no-install-recommends install $packages >/dev/null ||
    die "apt-get could not install: $packages"
}

npm_packages() {
  stamp=node_modules/.weft-setup
  if [ -f "$stamp" ] && [ ! package-lock.json -nt "$stamp" ] && [ -x node_modules/.bin/node ]; then return 0; fi
  command -v npm >/dev/null || die 'npm is missing: install Node 20 or later with npm'
  say 'installing npm packages, a pinned Node among them'
  npm ci --ignore-scripts --no-fund --no-audit --loglevel=error >&2 || die 'npm ci failed: see above'
  [ -x node_modules/.bin/node ] || die "npm has no Node for this machine ($(uname -m)): there are packages for x86_64 and aarch64"
  touch "$stamp"
}

[ "${WEFT_NO_APT:-}" = 1 ] || debian
npm_packages
