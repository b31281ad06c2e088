#!/usr/bin/env bash
# Installs what a Debian 12 machine lacks to build, run or test Consilium.
#
#   deploy/install_packages.sh build|test
#
# Asks apt only for packages that are missing, with sudo only where the user is not root.
set -euo pipefail

build=(
  ca-certificates ccache cmake g++ mold ninja-build pkg-config
  libabsl-dev libcli11-dev libcpp-httplib-dev libdcmtk-dev libfccp-dev libfmt-dev libgloo-dev libgrpc++-dev libonnx-dev libopenblas0-pthread libopencv-dev
  libprotobuf-dev libspdlog-dev libsqlite3-dev libssl-dev libtorch-dev libutfcpp-dev libyaml-cpp-dev libzstd-dev
  nlohmann-json3-dev protobuf-compiler protobuf-compiler-grpc
  libgmock-dev libgtest-dev
)
test=(chromium chromium-driver clang-14 dcmtk faketime iproute2 libclang-rt-14-dev nftables openssl orthanc sslscan python3 python3-grpcio python3-numpy python3-pil python3-protobuf python3-selenium python3-sklearn python3-torch python3-torchvision)

case "${1:-}" in
  build) wanted=("${build[@]}") ;;
  test) wanted=("${build[@]}" "${test[@]}") ;;
  *) echo "usage: $0 build|test" >&2; exit 2 ;;
esac

missing=()
for package in "${wanted[@]}"; do
  status=$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)
  [ "$status" = "install ok installed" ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "$0: not root, and no sudo; ask an administrator to install: ${missing[*]}" >&2; exit 1; }
  sudo=(sudo)
fi
echo "Installing ${#missing[@]} packages: ${missing[*]}"
"${sudo[@]}" apt-get update -q
"${sudo[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -q -y --no-install-recommends "${missing[@]}"
