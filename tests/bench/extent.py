"""A unet from hospitals that have lung masks and severity scores of their own X-rays, against both on
pictures that were kept aside."""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import DATA, Federation, run, write_plan  # noqa: E402

HOSPITALS = 3
MASKS = (DATA / "masks/v7", DATA / "masks/lungvae")  # by people where there are, else by a model
KNOWN = {"lung_masks": list(map(str, MASKS)), "severity": str(DATA / "severity.csv")}


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


def train(folder, rounds, size):
    """The model's file."""
    folder.mkdir(parents=True, exist_ok=True)
    run("consilium-client", "data", "partition", "--data", DATA / "sites/cohen/train.csv", "--root", DATA, "-o",
        folder / "parts", "--sites", HOSPITALS)
    model = folder / "unet.safetensors"
    with Federation(folder / "federation") as federation:
        for part in sorted((folder / "parts").glob("*.csv")):
            federation.join(part.stem, part, root=str(DATA), **KNOWN)
            federation.start(part.stem)
        shown = federation.wait(federation.submit(write_plan(folder / "plan.yaml", **plan_fields(rounds, size))),
                                timeout=7200)
        if shown["status"] != "COMPLETED":
            raise RuntimeError(f"{shown['status']}: {shown['reason']}")
        federation.ctl("model", "pull", shown["run"], "-o", model)
    return model


def evaluate(model):
    """On the validation pictures of the hospital that the others were cut from."""
    return json.loads(run(
        "consilium-client", "evaluate", "--json", "--model", model, "--data", DATA / "sites/cohen/train.csv", "--root",
        DATA, "--validation", DATA / "sites/cohen/val.csv", "--lung-masks", *MASKS, "--severity",
        KNOWN["severity"]).stdout)


def measure_extent(results, folder, rounds=20, size=96):
    shown = evaluate(train(folder, rounds, size))
    results.figures["extent"] = {"rounds": rounds, "input_size": size, "hospitals": HOSPITALS, **shown}
    extent = shown["geographic_extent"]
    r, error = extent["correlation"], extent["mean_absolute_error"]
    print(f"extent, {size} pixels, {rounds} rounds of {HOSPITALS} hospitals: Dice of the lungs {shown['dice']['lungs']:.3f} "
          f"({shown['pictures_with_lung_mask']} pictures); geographic extent of {extent['pictures']} pictures of "
          f"{extent['patients']} patients: correlation {r['value']:.2f} ({r['ci95'][0]:.2f} to {r['ci95'][1]:.2f}), mean "
          f"absolute error {error['value']:.2f} of 8 ({error['ci95'][0]:.2f} to {error['ci95'][1]:.2f}), of the median "
          f"{extent['error_of_median']:.2f}")
    results.target("extent: the correlation's interval begins above", r["ci95"][0], 0, at_least=True)
    results.target("extent: mean absolute error over the median's", error["value"] / extent["error_of_median"], 1)
