"""Compares the reports in a file with scikit-learn's figures on the same labels and scores."""

import json
import sys
import warnings

import numpy as np
from sklearn import metrics

TOLERANCE = 1e-6
CLASSES = ("a", "b", "c")
warnings.filterwarnings("ignore")  # of figures that are not defined, which are compared as such


def or_none(value):
    return None if np.isnan(value) else float(value)


def class_figures(truth, predicted, scores):
    """One class against the rest, from 0/1 labels and the class's scores."""
    found = {}
    hits = int((truth & predicted).sum())
    found["support"] = int(truth.sum())
    found["precision"] = hits / predicted.sum() if predicted.any() else None
    found["recall"] = float(metrics.recall_score(truth, predicted)) if truth.any() else None
    found["specificity"] = (float(metrics.recall_score(~truth, ~predicted)) if (~truth).any()
                            else None)
    found["f1"] = (float(metrics.f1_score(truth, predicted)) if truth.any() or predicted.any()
                   else None)
    both = truth.any() and (~truth).any()
    found["roc_auc"] = float(metrics.roc_auc_score(truth, scores)) if both else None
    found["average_precision"] = (float(metrics.average_precision_score(truth, scores))
                                  if truth.any() else None)
    if both:
        false_alarms, sensitivity, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
        found["sensitivity_at_90"] = float(sensitivity[1 - false_alarms >= 0.9 - 1e-12].max())
    edges = np.minimum((scores * 16).astype(int), 15)
    error = sum(abs(scores[edges == b].sum() - truth[edges == b].sum()) for b in range(16))
    found["calibration_error"] = error / len(truth)
    return found


def figures(truth, scores):
    predicted = scores.argmax(axis=1)
    present = sorted(set(truth))
    found = {
        "accuracy": float(metrics.accuracy_score(truth, predicted)),
        "balanced_accuracy": float(metrics.recall_score(truth, predicted, labels=present,
                                                        average="macro")),
        "macro_f1": float(metrics.f1_score(truth, predicted, labels=present, average="macro")),
        "kappa": or_none(metrics.cohen_kappa_score(truth, predicted)),
        "confusion": metrics.confusion_matrix(truth, predicted, labels=[0, 1, 2]).tolist(),
    }
    if len(present) > 1 and len(set(predicted)) > 1:  # where not, scikit-learn says 0
        found["matthews_correlation"] = float(metrics.matthews_corrcoef(truth, predicted))
    classes = {name: class_figures(truth == c, predicted == c, scores[:, c])
               for c, name in enumerate(CLASSES)}
    return found, classes


def compare(where, ours, theirs):
    if theirs is None or ours is None or isinstance(theirs, list):
        same = ours == theirs
    else:
        same = abs(ours - theirs) <= TOLERANCE
    if not same:
        print(f"{where}: {ours}, scikit-learn has {theirs}")
    return same


def main():
    compared = failed = 0
    with open(sys.argv[1]) as file:
        cases = json.load(file)
    for number, case in enumerate(cases):
        report = case["report"]
        found, classes = figures(np.array(case["labels"]), np.array(case["scores"]))
        pairs = [(key, report[key], value) for key, value in found.items()]
        for name, figures_of_class in classes.items():
            ours = dict(report["classes"][name])
            if ours["at_specificity_90"] is not None:
                ours["sensitivity_at_90"] = ours["at_specificity_90"]["sensitivity"]
            pairs += [(f"{name}.{key}", ours[key], value)
                      for key, value in figures_of_class.items()]
        for key, ours, theirs in pairs:
            compared += 1
            failed += not compare(f"case {number} {key}", ours, theirs)
    print(f"{len(cases)} cases, {compared} figures compared, {failed} differ")
    sys.exit(failed > 0 or compared < 500)


if __name__ == "__main__":
    main()
