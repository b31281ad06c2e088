"""The recipe of a plan in python3-torch, written a second time: what the same network learns there.

    learning_peer.py PLAN TRAIN.csv TEST.csv OUT.json [DEVICE]
"""

import contextlib
import csv
import json
import math
import pathlib
import sys

import numpy
import torch
import torchvision
from PIL import Image


def read(path, classes, side):
    """Centre-cropped images as N x 1 x side x side in [0, 1], labels, patients."""
    images, labels, patients = [], [], []
    with open(path, newline="") as rows:
        for row in csv.DictReader(rows):
            image = Image.open(row["path"]).convert("L")
            square = min(image.size)
            left, top = (image.width - square) // 2, (image.height - square) // 2
            image = image.crop((left, top, left + square, top + square))
            images.append(numpy.asarray(image.resize((side, side), Image.BOX), numpy.float32) / 255)
            labels.append(classes.index(row["label"]))
            patients.append(row["patient_id"])
    return torch.from_numpy(numpy.stack(images)[:, None]), torch.tensor(labels), patients


def augment(images, plan, generator):
    """Rotation and scale about the centre, a shift, contrast and brightness; an edge repeats."""
    how, n = plan["training"]["augmentation"], len(images)

    def draw():
        return torch.rand(n, generator=generator) * 2 - 1

    angle = draw() * math.radians(how["rotation_degrees"])
    scale = 1 / (1 + draw() * how["scale"])
    shift = [draw() * how["shift"] * 2, draw() * how["shift"] * 2]
    matrix = torch.stack([
        torch.stack([angle.cos() * scale, angle.sin() * scale, shift[0]], 1),
        torch.stack([-angle.sin() * scale, angle.cos() * scale, shift[1]], 1)], 1).to(images.device)
    grid = torch.nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    images = torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gain = (1 + draw() * how["contrast"]).to(images.device)[:, None, None, None]
    offset = (draw() * how["brightness"]).to(images.device)[:, None, None, None]
    return (images - 0.5) * gain + 0.5 + offset


def weights(counts, method):
    """As client/train/class_weights.h has them."""
    counts = numpy.asarray(counts, float)
    if method == "none":
        return None
    if method == "inverse":
        raw = counts.sum() / (len(counts) * counts)
    else:
        raw = (1 - 0.999) / (1 - 0.999 ** counts)
    return torch.tensor(raw * counts.sum() / (raw * counts).sum(), dtype=torch.float32)


def main():
    plan = json.loads(pathlib.Path(sys.argv[1]).read_text())
    device = sys.argv[5] if len(sys.argv) > 5 else ("cuda" if torch.cuda.is_available() else "cpu")
    training, model_fields = plan["training"], plan["model"]
    classes, side = model_fields["classes"], model_fields["input_size"]
    torch.manual_seed(plan["seed"])
    generator = torch.Generator().manual_seed(plan["seed"])
    images, labels, _ = read(sys.argv[2], classes, side)
    images, labels = images.to(device), labels.to(device)

    model = torchvision.models.resnet18(num_classes=len(classes))
    model.conv1 = torch.nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
    torch.nn.init.kaiming_normal_(model.conv1.weight, mode="fan_out", nonlinearity="relu")
    model = model.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=training["learning_rate"],
                                momentum=training["momentum"], weight_decay=training["weight_decay"])
    loss_of = torch.nn.CrossEntropyLoss(
        weight=weights(torch.bincount(labels.cpu(), minlength=len(classes)).numpy(),
                       training["class_weights"]), label_smoothing=training["label_smoothing"]).to(device)
    batch = training["batch_size"]
    total = training["local_epochs"] * math.ceil(len(images) / batch)
    half = torch.autocast("cuda", torch.bfloat16) if device == "cuda" else contextlib.nullcontext()
    step = 0
    for _ in range(training["local_epochs"]):
        model.train()
        order = torch.randperm(len(images), generator=generator).to(device)
        for begin in range(0, len(order), batch):
            chosen = order[begin:begin + batch]
            if len(chosen) < 2:
                continue
            progress = (step + 0.5) / total
            warmup = training["warmup"]
            factor = progress / warmup if progress < warmup else \
                0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))
            for group in optimizer.param_groups:
                group["lr"] = training["learning_rate"] * factor
            x = ((augment(images[chosen], plan, generator) - 0.5) / 0.25).contiguous(
                memory_format=torch.channels_last)
            optimizer.zero_grad(set_to_none=True)
            with half:
                scores = model(x)
            loss_of(scores.float(), labels[chosen]).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), training["clip_norm"])
            optimizer.step()
            step += 1

    model.eval()
    images, labels, patients = read(sys.argv[3], classes, side)
    with torch.no_grad(), half:
        scores = [model(((part.to(device) - 0.5) / 0.25)).float().softmax(1).cpu()
                  for part in images.split(64)]
    names = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    pathlib.Path(sys.argv[4]).write_text(json.dumps({
        "classes": classes, "scores": {"test": {
            "labels": labels.tolist(), "patients": [names[patient] for patient in patients],
            "probabilities": torch.cat(scores).tolist()}}}))


main()
