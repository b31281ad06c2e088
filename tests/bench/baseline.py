"""Ratios that the drivers measured, against those of before: tests/bench/run.sh --check."""

import json
import pathlib
import sys

BASELINE = pathlib.Path(__file__).with_name("baseline.json")
# What is compared: of each driver, targets that are ratios of one run.
RATIOS = {
    "first_federation": ("training over python3-torch, images/s, 95% interval's end",
                         "bytes that leave a hospital over its updates' bytes"),
    "bedside": ("a picture, speed over OpenCV DNN, 95% interval's end", "a folder, speed over OpenCV DNN"),
    "speed": ("resnet18, 2 sites: round over bare streams", "mean of 10 x 45 MB, 1 threads: over the triad",
              "mean of 10 x 45 MB, 2 threads: over the triad", "int8: updates' bytes over float32's"),
}
TOLERANCE = 0.25  # two runs of one build on a shared machine differ by a tenth


def measured(folder):
    """{driver: {name: target}}"""
    shown = {}
    for driver, names in RATIOS.items():
        targets = {target["name"]: target for target in json.loads((folder / f"{driver}.json").read_text())["targets"]}
        shown[driver] = {name: targets[name] for name in names if name in targets}
    return shown


def check(now):
    before = json.loads(BASELINE.read_text())
    worse = []
    print(f"\n{'ratio':<76}{'before':>9}{'now':>9}")
    for driver, names in before["ratios"].items():
        for name, value in names.items():
            target = now[driver].get(name)
            if target is None:
                print(f"{driver}: {name:<60}{value:>9.3f}        -  NOT MEASURED")
                worse.append(name)
                continue
            change = target["value"] / value
            is_worse = change < 1 - TOLERANCE if target["at_least"] else change > 1 + TOLERANCE
            print(f"{driver + ': ' + name:<76}{value:>9.3f}{target['value']:>9.3f}{'  WORSE' if is_worse else ''}")
            if is_worse:
                worse.append(name)
    print(f"\nbaseline of {before['commit']}; "
          + (f"worse by more than {TOLERANCE:.0%}: {', '.join(worse)}" if worse else "nothing is worse"))
    return 1 if worse else 0


def main(mode, folder):
    now = measured(folder)
    if mode == "--check":
        return check(now)
    commit = json.loads((folder / "speed.json").read_text())["machine"]["commit"]
    ratios = {driver: {name: round(target["value"], 4) for name, target in targets.items()}
              for driver, targets in now.items()}
    BASELINE.write_text(json.dumps({"commit": commit, "ratios": ratios}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], pathlib.Path(sys.argv[2])))
