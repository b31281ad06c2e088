"""Loads a model file into torchvision's own network, strictly, and compares its outputs.

    torchvision_parity.py MODEL INPUT OUTPUT

INPUT holds N x C x H x W float32 values, OUTPUT the N x K scores that the project computed from them.
"""

import json
import pathlib
import sys

import numpy
import torch
import torchvision

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[3]))
from tests.testing.model_reader import read_model  # noqa: E402


def simple_cnn(channels, classes):
    """The architecture's description, written down a second time."""
    nn = torch.nn
    features = []
    for width in (32, 64, 128, 128):
        features += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        channels = width
    head = [nn.Dropout(), nn.Linear(128 * 16, 128), nn.ReLU(), nn.Dropout(), nn.Linear(128, classes)]
    return nn.Sequential(__import__("collections").OrderedDict(
        features=nn.Sequential(*features), pool=nn.AdaptiveAvgPool2d(4), flat=nn.Flatten(),
        classifier=nn.Sequential(*head)))


def build(architecture, channels, classes):
    if architecture == "simple_cnn":
        return simple_cnn(channels, classes)
    if architecture.endswith("_gn"):
        model = getattr(torchvision.models, architecture.removesuffix("_gn"))(
            num_classes=classes, norm_layer=lambda width: torch.nn.GroupNorm(32, width))
    else:
        model = getattr(torchvision.models, architecture)(num_classes=classes)
    if channels != 3 and architecture.startswith("resnet"):
        model.conv1 = torch.nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    elif channels != 3 and architecture == "densenet121":
        model.features.conv0 = torch.nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    elif channels != 3 and architecture == "mobilenet_v3_small":
        model.features[0][0] = torch.nn.Conv2d(channels, 16, 3, stride=2, padding=1, bias=False)
    elif channels != 3:
        model.features[0] = torch.nn.Conv2d(channels, 64, 3, padding=1)
    return model


def main():
    tensors, metadata = read_model(sys.argv[1])
    channels, side = int(metadata["channels"]), int(metadata["input_size"])
    classes = len(json.loads(metadata["classes"]))
    model = build(metadata["architecture"], channels, classes).eval()
    assert list(tensors) == list(model.state_dict()), "names or order differ"
    model.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in tensors.items()},
                          strict=True)
    images = numpy.fromfile(sys.argv[2], "<f4").reshape(-1, channels, side, side)
    with torch.no_grad():
        want = model(torch.from_numpy(images)).numpy()
    got = numpy.fromfile(sys.argv[3], "<f4").reshape(want.shape)
    worst = float(numpy.abs(want - got).max() / max(1.0, numpy.abs(want).max()))
    print(f"{metadata['architecture']}: largest difference {worst:.2e} of the largest score")
    sys.exit(0 if worst < 1e-4 else 1)


main()
