"""Three hospitals of real chest X-rays: federated, central and local training side by side."""

import csv
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import DATA, Federation, run, write_plan  # noqa: E402

SITES = ("cohen", "nih", "actualmed")
# What each hospital's own classes can be asked: the figures that sources do not confound.
PAIRS = {"cohen": "covid against pneumonia", "nih": "pneumonia against normal",
         "actualmed": "covid against normal"}


def plan_fields(rounds, size, **training):
    """The recipe: the same for all three ways of training."""
    return {
        "name": "real sites", "seed": 7, "rounds": rounds, "quorum": {"fraction": 1.0},
        "round_deadline_seconds": 3600,
        "model": {"architecture": "resnet18", "input_size": size, "mean": 0.5, "stddev": 0.25},
        "training": {"local_epochs": 1, "batch_size": 16, "learning_rate": 0.01, "momentum": 0.9,
                     "weight_decay": 1e-4, "schedule": "cosine", "warmup": 0.05, "clip_norm": 5.0,
                     "class_weights": "effective",
                     "augmentation": {"rotation_degrees": 7, "shift": 0.05, "scale": 0.1,
                                      "contrast": 0.15, "brightness": 0.05}, **training},
    }


def site_data(site):
    """The fields of site.yaml's data for a real site."""
    return {"data": DATA / f"sites/{site}/train.csv", "root": str(DATA),
            "validation": str(DATA / f"sites/{site}/val.csv")}


def write_central(path):
    """One manifest of all sites, with the split of each image."""
    with open(path, "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["path", "label", "patient_id", "split"])
        for site in SITES:
            for split in ("train", "val"):
                with open(DATA / f"sites/{site}/{split}.csv", newline="") as rows:
                    for row in csv.DictReader(rows):
                        writer.writerow([row["path"], row["label"], row["patient_id"], split])
    return path


def evaluate(model, site):
    where = site_data(site)
    done = run("consilium-client", "evaluate", "--json", "--model", model, "--data", where["data"],
               "--root", where["root"], "--validation", where["validation"])
    return json.loads(done.stdout)


def federated(folder, plan):
    """By round: pooled and per-site figures; the last model's file."""
    with Federation(folder / "federated") as federation:
        for site in SITES:
            federation.join(site, threads=1, **site_data(site))
            federation.start(site)
        begin = time.monotonic()
        shown = federation.wait(federation.submit(plan), timeout=7200)
        seconds = time.monotonic() - begin
        if shown["status"] != "COMPLETED":
            raise RuntimeError(f"{shown['status']}: {shown['reason']}")
        model = folder / "federated.safetensors"
        federation.ctl("model", "pull", shown["run"], "-o", model)
        made = json.loads(run("consilium-client", "model", "info", "--json", model).stdout)["metadata"]
        return {"rounds": shown["evaluations"], "seconds": seconds,
                "averaged_rounds": int(made["round"]), "input_size": int(made["input_size"])}, model


def train_alone(folder, name, plan, data, *options):
    model = folder / f"{name}.safetensors"
    figures = folder / f"{name}.json"
    begin = time.monotonic()
    run("consilium-client", "train", "--plan", plan, "--data", data, "--root", DATA, "-o", model,
        "--json", figures, *options, timeout=7200)
    return {"rounds": json.loads(figures.read_text())["rounds"],
            "seconds": time.monotonic() - begin}, model


def compare(folder, rounds, size):
    """Trains all three ways and scores each final model at each site."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = write_plan(folder / "plan.yaml", **plan_fields(rounds, size))
    result = {"rounds": rounds, "input_size": size, "sites": {site: {} for site in SITES}}
    result["federated"], model = federated(folder, plan)
    for site in SITES:
        result["sites"][site]["federated"] = evaluate(model, site)
    result["central"], model = train_alone(folder, "central", plan,
                                           write_central(folder / "central.csv"))
    for site in SITES:
        result["sites"][site]["central"] = evaluate(model, site)
    result["local"] = {}
    for site in SITES:
        where = site_data(site)
        result["local"][site], model = train_alone(folder, f"local-{site}", plan, where["data"],
                                                   "--validation", where["validation"])
        result["sites"][site]["local"] = evaluate(model, site)
    return result


def pooled(result, way):
    """Accuracy and balanced accuracy over all sites, from the summed confusion matrices."""
    matrices = [result["sites"][site][way]["confusion"] for site in SITES]
    total = [[sum(m[i][j] for m in matrices) for j in range(3)] for i in range(3)]
    count = sum(map(sum, total))
    recalls = [row[i] / sum(row) for i, row in enumerate(total) if sum(row)]
    return {"accuracy": sum(total[i][i] for i in range(3)) / count,
            "balanced_accuracy": sum(recalls) / len(recalls), "images": count}


def print_table(result):
    print(f"ResNet-18 from scratch, {result['input_size']} px, {result['rounds']} rounds of "
          "one local epoch; validation images")
    print(f"{'':<34}{'federated':>12}{'central':>12}{'local':>12}")
    ways = ("federated", "central", "local")

    def line(label, figures):
        print(f"{label:<34}" + "".join(f"{'-' if f is None else format(f, '.3f'):>12}"
                                       for f in figures))

    for key in ("accuracy", "balanced_accuracy"):
        line(f"all sites, {key.replace('_', ' ')}", [pooled(result, way)[key] for way in ways])
    for site in SITES:
        scores = result["sites"][site]
        for key in ("accuracy", "balanced_accuracy"):
            line(f"{site}, {key.replace('_', ' ')}", [scores[way][key] for way in ways])
        line(f"{site}, AUC {PAIRS[site]}",
             [scores[way]["pairwise_roc_auc"].get(PAIRS[site]) for way in ways])
    for evaluation in result["federated"]["rounds"]:
        sites = "  ".join(f"{site} {evaluation['sites'][site]['balanced_accuracy']:.3f}"
                          for site in SITES if site in evaluation["sites"])
        print(f"round {evaluation['round']:>3}: pooled accuracy {evaluation['pooled']['accuracy']:.3f} "
              f"balanced {evaluation['pooled']['balanced_accuracy']:.3f} "
              f"loss {evaluation['pooled']['loss']:.3f}; balanced by site: {sites}")
