"""Experiments: which hospitals train on what by which plan, what they are scored on, and the figures
that were kept of it. A run that has its file is not run again."""

import csv
import dataclasses
import json
import pathlib
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.federation import BIN, DATA, run  # noqa: E402

SIMULATOR = BIN.parent / "bench/simulated_federation"
CLASSES = {"three": ["covid", "normal", "pneumonia"], "binary": ["covid", "normal"]}
SITES = ("cohen", "nih", "actualmed")
FOLDS = (0, 1, 2, 3)
ATTEMPTS = 50
LEAST_IMAGES = 2  # of a hospital that a set of images is cut into: a batch

# Of all trainings; what a run does otherwise it says.
TRAINING = {
    "batch_size": 32, "optimizer": "sgd", "learning_rate": 0.02, "momentum": 0.9,
    "weight_decay": 5e-4, "schedule": "cosine", "warmup": 0.05, "clip_norm": 5.0,
    "class_weights": "effective", "label_smoothing": 0.05,
    "augmentation": {"rotation_degrees": 10, "shift": 0.08, "scale": 0.12, "contrast": 0.2,
                     "brightness": 0.1},
}
# What was chosen among (see `choices` in learning).
RECIPES = {
    "plain": {},
    "adamw": {"optimizer": "adamw", "learning_rate": 1e-3, "weight_decay": 0.05},
    "mixup": {"mixup_alpha": 0.2},
    "cutout": {"augmentation": {**TRAINING["augmentation"], "cutout": 0.3}},
    "ema": {"ema_decay": 0.99},
}


@dataclasses.dataclass(frozen=True)
class Run:
    name: str
    plan: dict
    sites: dict   # name: the CSV it trains on
    scored: dict  # name: a CSV that the last model is scored on
    initial: str = ""  # the run whose last model it begins with
    keeps_model: bool = False


def plan(architecture, classes, epochs, size, seed=1, federated=False, strategy=None, local_tensors=None,
         **training):
    """As many epochs in one training, or one in each of as many rounds."""
    fields = {
        "name": "experiment", "seed": seed, "rounds": epochs if federated else 1,
        "model": {"architecture": architecture, "input_size": size, "classes": classes},
        "training": {**TRAINING, "local_epochs": 1 if federated else epochs, **training},
    }
    if architecture == "simple_cnn":
        fields["model"]["dropout"] = 0.3
    if strategy:
        fields["strategy"] = strategy
    if local_tensors:
        fields["model"]["local_tensors"] = local_tensors
    return fields


class Laboratory:
    """A folder of runs and the manifests that they need."""

    def __init__(self, folder, device="auto", jobs=1, threads=0):
        self.folder = pathlib.Path(folder)
        self.device, self.jobs, self.threads = device, jobs, threads
        self.lock = threading.Lock()
        for part in ("runs", "data", "models"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)

    def manifest(self, name, rows):
        """A CSV of these images, all to be trained on or all to be scored."""
        path = self.folder / "data" / f"{name}.csv"
        if not path.exists():
            with open(path, "w", newline="") as out:
                writer = csv.writer(out)
                writer.writerow(["path", "label", "patient_id", "split"])
                writer.writerows([DATA / row["path"], row["label"], row["patient_id"], "train"]
                                 for row in rows)
        return path

    def manifest_with_sites(self, name, rows):
        """The same that says which hospital each image is of."""
        path = self.folder / "data" / f"{name}-by-site.csv"
        with open(path, "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["path", "label", "patient_id", "split", "site"])
            writer.writerows([DATA / row["path"], row["label"], row["patient_id"], "val", row["site"]] for row in rows)
        return path

    def partition(self, name, whole, by, sites, alpha, seed):
        """The whole cut into hospitals; by the first seed from this one on that gives each enough to train on."""
        folder = self.folder / "data" / name
        shape = ["--alpha", alpha] if by != "iid" else []
        for attempt in range(ATTEMPTS):
            if not folder.exists():
                run("consilium-client", "data", "partition", "--data", whole, "-o", folder, "--sites",
                    sites, "--by", by, *shape, "--seed", seed + 100 * attempt, check=attempt == ATTEMPTS - 1)
            parts = {path.stem: path for path in sorted(folder.glob("*.csv"))}
            if parts and all(len(rows_of(path)) >= LEAST_IMAGES for path in parts.values()):
                return parts
            shutil.rmtree(folder, ignore_errors=True)
        raise RuntimeError(f"{name}: no seed gives each hospital {LEAST_IMAGES} images")

    def model(self, name):
        """The last model of a run that keeps it."""
        return self.folder / "models" / f"{name}.safetensors"

    def figures(self, name):
        """What a run that was done came to."""
        return json.loads((self.folder / "runs" / f"{name}.json").read_text())

    def is_done(self, name, plan):
        """Whether there are figures of this very plan."""
        done, by = (self.folder / "runs" / f"{name}{end}" for end in (".json", ".yaml"))
        return done.exists() and by.exists() and json.loads(by.read_text()) == plan

    def do(self, runs):
        """All of them, as many at a time as `jobs`."""
        to_do = [one for one in runs if not self.is_done(one.name, one.plan)]
        with ThreadPoolExecutor(self.jobs) as pool:
            list(pool.map(self._do, to_do))

    def _do(self, one):
        (self.folder / "runs" / f"{one.name}.json").unlink(missing_ok=True)
        plan_file = self.folder / "runs" / f"{one.name}.yaml"
        plan_file.write_text(json.dumps(one.plan))  # JSON is YAML
        options = [f"--{kind}={name}={path}" for kind, files in (("site", one.sites), ("score", one.scored))
                   for name, path in files.items()]
        if one.initial:
            options += ["--init", str(self.model(one.initial))]
        if one.keeps_model:
            options += ["--model", str(self.model(one.name))]
        done = subprocess.run(
            [str(SIMULATOR), "--plan", str(plan_file), *options, "--device", self.device, "--threads",
             str(self.threads), "--json", str(self.folder / "runs" / f"{one.name}.json")],
            capture_output=True, text=True)
        with self.lock:
            if done.returncode != 0:
                raise RuntimeError(f"{one.name}: {done.stderr[-2000:]}")
            print(f"{one.name}: {self.figures(one.name)['seconds']:.0f} s", flush=True)


def rows_of(path):
    with open(DATA / path, newline="") as rows:
        return list(csv.DictReader(rows))


def synthetic_rows(folder, site, images):
    """A synthetic hospital's images, which are made where they are not there, with whole paths."""
    if not folder.exists():
        run("consilium-client", "data", "synth", "-o", folder, "--site", site, "--images", images)
    with open(folder / "manifest.csv", newline="") as lines:
        return [{**row, "path": folder / row["path"]} for row in csv.DictReader(lines)]


def darkcovidnet(laboratory, task, folds, name):
    """Its images of these folds; for the binary task those of pneumonia are left out."""
    rows = [row for row in rows_of("darkcovidnet/folds.csv")
            if int(row["fold"]) in folds and row["label"] in CLASSES[task]]
    return laboratory.manifest(f"darkcovidnet-{task}-{name}", rows)


def fold_data(laboratory, task, fold):
    """What is trained on, and what is scored."""
    others = [other for other in FOLDS if other != fold]
    return (darkcovidnet(laboratory, task, others, f"train{fold}"),
            darkcovidnet(laboratory, task, [fold], f"test{fold}"))


SETTINGS = ("central", "iid", "dirichlet", "quantity")


def darkcovidnet_runs(laboratory, architectures, tasks, epochs, size, recipe, folds=FOLDS):
    """The benchmark: one place, and four hospitals cut in three ways."""
    runs = []
    for task in tasks:
        for fold in folds:
            whole, test = fold_data(laboratory, task, fold)
            for setting in SETTINGS:
                sites = {"all": whole}
                if setting != "central":
                    sites = laboratory.partition(f"{setting}-{task}-{fold}", whole, setting, 4,
                                                 {"dirichlet": 0.3, "quantity": 1.0}.get(setting), fold + 1)
                for architecture in architectures:
                    training = dict(recipe)
                    if setting != "central":  # as many steps an epoch as in one place, nearly
                        training["batch_size"] = 16
                    fields = plan(architecture, CLASSES[task], epochs, size, seed=fold + 1,
                                  federated=setting != "central", **training)
                    runs.append(Run(f"dark-{architecture}-{task}-{setting}-{fold}", fields, sites,
                                    {"test": test}))
    return runs


def choice_runs(laboratory, epochs, size):
    """The recipes on the training folds of fold 0 alone: two are trained on, one is scored."""
    runs = []
    inner = [fold for fold in FOLDS if fold != 0]
    for scored in inner:
        trained = [fold for fold in inner if fold != scored]
        whole = darkcovidnet(laboratory, "three", trained, f"inner-train{scored}")
        test = darkcovidnet(laboratory, "three", [scored], f"inner-test{scored}")
        for name, recipe in RECIPES.items():
            runs.append(Run(f"choice-{name}-{scored}",
                            plan("resnet18", CLASSES["three"], epochs, size, **recipe),
                            {"all": whole}, {"test": test}))
    return runs


def parity_runs(laboratory, epochs, size):
    """One place, the plain recipe: what python3-torch does too."""
    return [Run(f"parity-{fold}", plan("resnet18", CLASSES["three"], epochs, size, seed=fold + 1),
                {"all": fold_data(laboratory, "three", fold)[0]},
                {"test": fold_data(laboratory, "three", fold)[1]}) for fold in FOLDS]


STRATEGIES = {
    "fedavg": {},
    "fedavg+restricted": {"restrict_softmax": True},
    "fedprox": {"strategy": {"name": "fedprox", "proximal_mu": 0.1}},
    "fednova": {"strategy": {"name": "fednova"}, "optimizer": "sgd",
                "learning_rate": TRAINING["learning_rate"], "weight_decay": TRAINING["weight_decay"],
                "ema_decay": 0},
    "scaffold": {"strategy": {"name": "scaffold"}, "optimizer": "sgd",
                 "learning_rate": TRAINING["learning_rate"], "weight_decay": TRAINING["weight_decay"],
                 "ema_decay": 0},
    "fedavgm": {"strategy": {"name": "fedavgm", "server_learning_rate": 0.3, "server_momentum": 0.7}},
    "fedadam": {"strategy": {"name": "fedadam", "server_learning_rate": 0.003}},
    "fedbn": {"local_tensors": ["norm"]},
    "own head": {"local_tensors": ["fc"]},
    "fedavg, group norm": {"architecture": "resnet18_gn"},
}
# With one seed; the others with each.
SEEN_ONCE = ("fedavg+restricted", "fednova", "fedavgm", "own head", "fedavg, group norm",
             *(f"without {site}" for site in SITES))


def site_data(laboratory):
    """Of the real sites: what each trains on and what each is scored on."""
    train = {site: laboratory.manifest(f"{site}-train", rows_of(f"sites/{site}/train.csv"))
             for site in SITES}
    scored = {site: laboratory.manifest(f"{site}-val", rows_of(f"sites/{site}/val.csv"))
              for site in SITES}
    return train, scored


def real_site_runs(laboratory, epochs, size, seeds, recipe):
    """Alone, together in one place, in a federation by each strategy, and in one that leaves a site
    out."""
    train, scored = site_data(laboratory)
    everything = laboratory.manifest(
        "sites-train", [row for site in SITES for row in rows_of(f"sites/{site}/train.csv")])

    def one(name, sites, seed, architecture="resnet18", strategy=None, local_tensors=None, **training):
        federated = len(sites) > 1
        fields = plan(architecture, CLASSES["three"], epochs, size, seed=seed, federated=federated,
                      strategy=strategy, local_tensors=local_tensors, **{**recipe, **training})
        if federated:
            fields["training"]["batch_size"] = 16
        return Run(f"sites-{name}-{seed}", fields, sites, scored)

    runs = []
    for seed in seeds:
        runs.append(one("central", {"all": everything}, seed))
        for site in SITES:
            runs.append(one(f"local {site}", {site: train[site]}, seed))
            if seed == min(seeds):
                others = {name: images for name, images in train.items() if name != site}
                runs.append(one(f"without {site}", others, seed))
        for name, options in STRATEGIES.items():
            if name not in SEEN_ONCE or seed == min(seeds):
                runs.append(one(name, train, seed, **options))
    return runs


AUDITED = ("central", "fedavg")


def audited_runs(laboratory, epochs, size, recipe):
    """Two of the real hospitals' runs again, whose models are kept."""
    return [dataclasses.replace(one, name=f"audited-{name}", keeps_model=True)
            for one in real_site_runs(laboratory, epochs, size, (1,), recipe)
            for name in AUDITED if one.name == f"sites-{name}-1"]


BEGINNINGS = ("scratch", "pretrained", "pretrained, stages")


def pretraining_runs(laboratory, epochs, size, seeds):
    """A hospital with sixty images, from scratch and after a task of synthetic chests, of which its
    network keeps all or, at first, the lower stages."""
    rows = []
    for site in range(4):
        rows += synthetic_rows(laboratory.folder / "data" / f"synth-{site}", site, 150)
    synthetic = laboratory.manifest("pretraining-synthetic", rows)
    nih = rows_of("sites/nih/train.csv")
    small = laboratory.manifest("pretraining-small", take(nih, "normal", 30) + take(nih, "pneumonia", 30))
    scored = {"nih": site_data(laboratory)[1]["nih"]}
    stages = [{"tensors": ["conv1", "bn1", "layer1", "layer2"], "rate": 0.1, "frozen": 0.3}]
    classes = CLASSES["three"]
    runs = [Run("pretraining", plan("resnet18", classes, epochs, size, federated=True),
                {"all": synthetic}, {}, keeps_model=True)]
    for seed in seeds:
        for name in BEGINNINGS:
            training = {"stages": stages} if name.endswith("stages") else {}
            fields = plan("resnet18", classes, 2 * epochs, size, seed=seed, federated=True, **training)
            fields["training"]["batch_size"] = 16
            initial = "" if name == "scratch" else "pretraining"
            runs.append(Run(f"small-{name}-{seed}", fields, {"small": small}, scored, initial=initial))
    return runs


BALANCES = {
    "no weights": {"class_weights": "none"},
    "inverse frequency": {"class_weights": "inverse"},
    "effective number": {"class_weights": "effective"},
    "focal": {"class_weights": "none", "loss": "focal", "label_smoothing": 0},
    "balanced sampler": {"class_weights": "none", "sampler": "class_balanced"},
}


def take(rows, label, count):
    """Whole patients with this label, until there are so many images."""
    chosen, patients = [], []
    for row in (row for row in rows if row["label"] == label):
        if row["patient_id"] not in patients:
            if len(chosen) >= count:
                continue
            patients.append(row["patient_id"])
        chosen.append(row)
    return chosen


def balance_runs(laboratory, epochs, size, seeds, recipe):
    """A site where one image of ten is of COVID-19: cohen's COVID and pneumonia, filled up from nih."""
    cohen, nih = rows_of("sites/cohen/train.csv"), rows_of("sites/nih/train.csv")
    pneumonia = take(cohen, "pneumonia", 53)
    covid = take(cohen, "covid", 53)
    fill = 9 * len(covid) - len(pneumonia)
    rows = covid + pneumonia + take(nih, "pneumonia", fill // 2) + take(nih, "normal", fill - fill // 2)
    whole = laboratory.manifest("balance-train", rows)
    scored = laboratory.manifest("balance-val", rows_of("sites/cohen/val.csv") + rows_of("sites/nih/val.csv"))
    return [Run(f"balance-{name}-{seed}",
                plan("resnet18", CLASSES["three"], epochs, size, seed=seed, **{**recipe, **options}),
                {"all": whole}, {"test": scored})
            for seed in seeds for name, options in BALANCES.items()]
