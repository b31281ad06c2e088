"""What updates and models cost by encoding: their bytes, and on the real hospitals the accuracy."""

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.bench import learning_runs as experiments  # noqa: E402
from tests.bench.learning_scores import Scored  # noqa: E402

ENCODINGS = {
    "float32": {},
    "bfloat16": {"update": "bfloat16"},
    "int8": {"update": "int8"},
    "top_k": {"update": "top_k", "top_k": 0.01},
    "int8 both ways": {"update": "int8", "model": "int8"},
}
CLASSES = experiments.CLASSES["three"]


def do(laboratory, title, sites, scored, seeds, **shape):
    """The runs of each encoding with each seed, by both."""
    runs = []
    for seed in seeds:
        for name, encoding in ENCODINGS.items():
            fields = experiments.plan("resnet18", CLASSES, seed=seed, federated=True, **shape)
            if encoding:
                fields["encoding"] = encoding
            runs.append(experiments.Run(f"{title}-{name}-{seed}", fields, sites, scored))
    laboratory.do(runs)
    return {name: [laboratory.figures(f"{title}-{name}-{seed}") for seed in seeds] for name in ENCODINGS}


def tell_bytes(results, done):
    def of(figures, what):
        return sum(one[what] for one in figures) / sum(one[what] for one in done["float32"])
    for name, figures in done.items():
        shares = {what: of(figures, f"{what}_bytes") for what in ("update", "model")}
        results.figures.setdefault("encodings", {})[name] = {f"{what}_bytes": share for what, share in shares.items()}
        print(f"{name}: {shares['update']:.4f} of the updates' bytes, {shares['model']:.4f} of the models'", flush=True)
    encodings = results.figures["encodings"]
    results.target("int8: updates' bytes over float32's", encodings["int8"]["update_bytes"], 0.27)
    results.target("int8 both ways: models' bytes over float32's", encodings["int8 both ways"]["model_bytes"], 0.27)


def measure_bytes(results, folder):
    """Two rounds of two synthetic hospitals."""
    laboratory = experiments.Laboratory(folder, device="cpu", jobs=2, threads=1)
    sites = {}
    for i in range(2):
        rows = experiments.synthetic_rows(folder / f"synth-{i}", i, 20)
        sites[f"site-{i}"] = laboratory.manifest(f"synth-{i}", rows)
    tell_bytes(results, do(laboratory, "synthetic", sites, {}, (1,), epochs=2, size=32))


def measure_encodings(results, folder, seeds, rounds, size):
    """The federation of the real hospitals; what an encoding costs beside what a seed does."""
    laboratory = experiments.Laboratory(folder, device="cpu", jobs=2, threads=1)
    train, scored = experiments.site_data(laboratory)
    done = do(laboratory, "encoding", train, scored, range(1, seeds + 1), epochs=rounds, size=size, batch_size=16)
    tell_bytes(results, done)
    for name, figures in done.items():
        accuracies = []
        for one in figures:
            pooled = Scored(CLASSES)
            for site in experiments.SITES:
                pooled.add(one["scores"][site])
            accuracies.append(pooled.balanced_accuracy())
        results.figures["encodings"][name]["balanced_accuracy"] = accuracies
        print(f"{name}: balanced accuracy "
              + ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies), flush=True)
    mean = {name: sum(figures["balanced_accuracy"]) / seeds for name, figures in results.figures["encodings"].items()}
    for name in ("int8", "int8 both ways"):
        results.target(f"{name}: balanced accuracy lost", mean["float32"] - mean[name], 0.005)
