"""The peer of training_bench: the same network and step in Debian's python3-torch, asked and answered
in the same way.

    yes | training_peer.py ARCHITECTURE SIDE BATCH STEPS THREADS
"""

import contextlib
import json
import sys
import time

import torch
import torchvision


def build(architecture):
    if architecture == "simple_cnn":
        layers, channels = [], 1
        for width in (32, 64, 128, 128):
            layers += [torch.nn.Conv2d(channels, width, 3, padding=1), torch.nn.ReLU(True),
                       torch.nn.MaxPool2d(2)]
            channels = width
        return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(),
                                   torch.nn.Dropout(0.0), torch.nn.Linear(2048, 128),
                                   torch.nn.ReLU(True), torch.nn.Dropout(0.0),
                                   torch.nn.Linear(128, 3))
    model = getattr(torchvision.models, architecture)(num_classes=3)
    if architecture.startswith("resnet"):
        model.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    else:
        model.features[0] = torch.nn.Conv2d(1, 64, 3, padding=1)
    return model


def main():
    architecture, side, batch, steps, threads = sys.argv[1], *map(int, sys.argv[2:])
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = build(architecture).to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
    images = torch.randn(batch, 1, side, side).to(device, memory_format=torch.channels_last)
    labels = torch.randint(0, 3, (batch,)).to(device)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext():
            scores = model(images)
        loss = torch.nn.functional.cross_entropy(scores.float(), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    step(), step()
    print("ready", flush=True)
    for _ in range(steps):
        sys.stdin.readline()
        begin = time.perf_counter()
        loss = step()
        print(f"{time.perf_counter() - begin:.5f}", flush=True)
    print(json.dumps({"loss": loss, "device": device}))


main()
