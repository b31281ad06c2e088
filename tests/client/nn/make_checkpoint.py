"""Writes a torchvision network's state dict as PyTorch does, and its values as raw numbers.

    make_checkpoint.py KIND CHECKPOINT VALUES

KIND: plain | half | nested | parameters | hostile | legacy. VALUES gets conv1.weight and layer4.1.bn2.running_var,
float32.
"""

import collections
import os
import sys

import torch
import torchvision


class Hostile:
    """What runs a command when Python loads it."""

    def __reduce__(self):
        return os.system, ("touch " + sys.argv[3] + ".executed",)


def main():
    kind, checkpoint, values = sys.argv[1:]
    torch.manual_seed(3)
    model = torchvision.models.resnet18()
    model.layer4[1].bn2.running_var.uniform_(0.5, 1.5)
    state = model.state_dict()
    if kind == "half":
        state = {name: value.half() if value.is_floating_point() else value
                 for name, value in state.items()}
    with open(values, "wb") as out:
        for name in ("conv1.weight", "layer4.1.bn2.running_var"):
            out.write(state[name].float().numpy().astype("<f4").tobytes())
    if kind == "nested":
        state = {"epoch": 90, "best": 0.71, "state_dict": state, "args": ["a", (1, None, True)]}
    elif kind == "parameters":
        state = collections.OrderedDict((name, torch.nn.Parameter(value, requires_grad=False))
                                        for name, value in state.items())
    elif kind == "hostile":
        state["fc.bias"] = Hostile()
    torch.save(state, checkpoint, _use_new_zipfile_serialization=kind != "legacy")


main()
