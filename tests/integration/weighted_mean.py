"""Checks a federated average bit by bit against numpy.

    weighted_mean.py AVERAGED BASE UPDATE EXAMPLES [UPDATE EXAMPLES …]
"""

import json
import pathlib
import sys

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))
from tests.testing.model_reader import read_model  # noqa: E402


def main():
    averaged, metadata = read_model(sys.argv[1])
    base, _ = read_model(sys.argv[2])
    updates = [read_model(path)[0] for path in sys.argv[3::2]]
    examples = [float(n) for n in sys.argv[4::2]]
    roles = json.loads(metadata["roles"])
    for name, got in averaged.items():
        role = roles.get(name, "parameter")
        if role == "local":
            want = base[name]
        elif role == "counter":
            want = numpy.max([update[name] for update in updates], axis=0)
        else:
            total = numpy.zeros(got.shape, numpy.float64)
            for update, n in zip(updates, examples):
                total = total + n * update[name].astype(numpy.float64)
            want = (total / sum(examples)).astype(numpy.float32)
        assert numpy.array_equal(numpy.asarray(want, numpy.float32).view(numpy.uint32),
                                 got.view(numpy.uint32)), name
    assert len(averaged) == len(base)
    print(f"{len(averaged)} tensors equal, bit by bit")


main()
