#!/usr/bin/env bash
# Every driver, --short; their figures go to build/bench. With --check the ratios among them are compared with
# tests/bench/baseline.json, and what has become worse than its tolerance is named; times are never compared. With
# --baseline they become the new one.
#
#   tests/bench/run.sh [--check | --baseline]
#
# Run it after the build, with nothing else on the machine. A target that a driver misses fails the run without --check alone.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mode=${1:-}
case $mode in
"" | --check | --baseline) ;;
*)
  echo "usage: tests/bench/run.sh [--check | --baseline]" >&2
  exit 2
  ;;
esac

drivers=(first_federation bedside speed)
[[ -n $mode ]] || drivers+=(learning durability trust)
figures=build/bench
mkdir -p "$figures"
missed=()
for driver in "${drivers[@]}"; do
  echo "== $driver"
  /usr/bin/python3 "tests/bench/$driver" --short --json "$figures/$driver.json" || missed+=("$driver")
done
[[ -z $mode ]] || exec /usr/bin/python3 tests/bench/baseline.py "$mode" "$figures"
if ((${#missed[@]})); then
  echo "missed a target: ${missed[*]}"
  exit 1
fi
