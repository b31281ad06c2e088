#!/usr/bin/env bash
# Installs what is missing, builds, and runs every test. Ends with ctest's summary and its exit code.
#
#   tests/run.sh [ctest options]      for example: tests/run.sh -L unit
#
# CONSILIUM_DATA names the folder of real chest X-rays (default: shared/data beside the checkout); tests
# that need it are skipped, and say so, where it is absent.
set -euo pipefail
cd "$(dirname "$0")/.."

deploy/install_packages.sh test
cmake --preset release
cmake --build --preset release
export CONSILIUM_DATA="${CONSILIUM_DATA:-$(cd .. && pwd)/shared/data}"
[ -d "$CONSILIUM_DATA" ] || echo "No real images at $CONSILIUM_DATA: tests that need them are skipped."
# One test at a time where they train: two would share the cores and the clock.
exec ctest --test-dir build/release --output-on-failure "$@"
