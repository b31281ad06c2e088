"""A unet from hospitals that have lung masks and severity scores of their own X-rays, against both on
pictures that were kept aside."""

import csv
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import DATA, Federation, run, write_plan  # noqa: E402

HOSPITALS = 3
MASKS = (DATA / "masks/v7", DATA / "masks/lungvae")  # by people where there are, else by a model
GREATEST_OPACITY = 6
SCORES = (("geographic_extent", 8), ("opacity", GREATEST_OPACITY))


def plan_fields(rounds, size):
    return {
        "name": "extent", "seed": 7, "rounds": rounds, "quorum": {"fraction": 1.0}, "round_deadline_seconds": 7200,
        "model": {"architecture": "unet", "input_size": size, "classes": ["elsewhere", "lung", "opacity"]},
        "training": {"local_epochs": 1, "batch_size": 8, "optimizer": "adamw", "learning_rate": 1e-3,
                     "weight_decay": 0.01, "schedule": "cosine", "warmup": 0.05, "clip_norm": 5.0,
                     "class_weights": "none",
                     "augmentation": {"rotation_degrees": 10, "shift": 0.06, "scale": 0.12, "contrast": 0.2,
                                      "brightness": 0.1}},
    }


def write_severity(path):
    """The experts' scores, without the few opacities that were given on another scale."""
    with open(DATA / "severity.csv", newline="") as given, open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "geographic_extent", "opacity"])
        for row in csv.DictReader(given):
            is_on_scale = float(row["opacity"]) <= GREATEST_OPACITY
            writer.writerow([row["path"], row["geographic_extent"], row["opacity"] if is_on_scale else ""])
    return path


def train(folder, rounds, size, severity):
    """The model's file."""
    run("consilium-client", "data", "partition", "--data", DATA / "sites/cohen/train.csv", "--root", DATA, "-o",
        folder / "parts", "--sites", HOSPITALS)
    model = folder / "unet.safetensors"
    with Federation(folder / "federation") as federation:
        for part in sorted((folder / "parts").glob("*.csv")):
            federation.join(part.stem, part, root=str(DATA), lung_masks=list(map(str, MASKS)), severity=str(severity))
            federation.start(part.stem)
        shown = federation.wait(federation.submit(write_plan(folder / "plan.yaml", **plan_fields(rounds, size))),
                                timeout=7200)
        if shown["status"] != "COMPLETED":
            raise RuntimeError(f"{shown['status']}: {shown['reason']}")
        federation.ctl("model", "pull", shown["run"], "-o", model)
    return model


def evaluate(model, severity):
    """On the validation pictures of the hospital that the others were cut from."""
    return json.loads(run(
        "consilium-client", "evaluate", "--json", "--model", model, "--data", DATA / "sites/cohen/train.csv", "--root",
        DATA, "--validation", DATA / "sites/cohen/val.csv", "--lung-masks", *MASKS, "--severity",
        severity).stdout)


def measure_extent(results, folder, rounds=20, size=96):
    folder.mkdir(parents=True, exist_ok=True)
    severity = write_severity(folder / "severity.csv")
    shown = evaluate(train(folder, rounds, size, severity), severity)
    results.figures["extent"] = {"rounds": rounds, "input_size": size, "hospitals": HOSPITALS, **shown}
    print(f"extent, {size} pixels, {rounds} rounds of {HOSPITALS} hospitals: Dice of the lungs "
          f"{shown['dice']['lungs']:.3f} ({shown['pictures_with_lung_mask']} pictures)")
    for score, greatest in SCORES:
        agreement, name = shown[score], score.replace("_", " ")
        r, error = agreement["correlation"], agreement["mean_absolute_error"]
        print(f"  {name} of {agreement['pictures']} pictures of {agreement['patients']} patients: correlation "
              f"{r['value']:.2f} ({r['ci95'][0]:.2f} to {r['ci95'][1]:.2f}), mean absolute error {error['value']:.2f} of "
              f"{greatest} ({error['ci95'][0]:.2f} to {error['ci95'][1]:.2f}), of the median "
              f"{agreement['error_of_median']:.2f}")
        results.target(f"{name}: the correlation's interval begins above", r["ci95"][0], 0, at_least=True)
        results.target(f"{name}: mean absolute error over the median's", error["value"] / agreement["error_of_median"], 1)
