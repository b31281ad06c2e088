"""What updates cost by encoding: their bytes, and on the real hospitals the accuracy."""

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
    whole = sum(one["update_bytes"] for one in done["float32"])
    for name, figures in done.items():
        share = sum(one["update_bytes"] for one in figures) / whole
        results.figures.setdefault("encodings", {})[name] = {"bytes": share}
        print(f"updates as {name}: {share:.4f} of the bytes", flush=True)
    results.target("int8: its bytes over float32's", results.figures["encodings"]["int8"]["bytes"], 0.27)


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
        print(f"updates as {name}: balanced accuracy "
              + ", ".join(f"{100 * accuracy:.1f}" for accuracy in accuracies), flush=True)
    mean = {name: sum(figures["balanced_accuracy"]) / seeds for name, figures in results.figures["encodings"].items()}
    results.target("int8: balanced accuracy lost", mean["float32"] - mean["int8"], 0.005)
