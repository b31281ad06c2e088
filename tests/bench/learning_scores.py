"""Figures of scored images, with intervals by patient, and the floor that pictures set without a lung
in them."""

import csv

import numpy


class Scored:
    """Images of several runs as one set; a patient of one run is none of another's."""

    def __init__(self, classes):
        self.classes = classes
        self.labels = numpy.zeros(0, int)
        self.patients = numpy.zeros(0, int)
        self.probabilities = numpy.zeros((0, len(classes)))

    def add(self, scores):
        first = self.patients.max() + 1 if len(self.patients) else 0
        self.labels = numpy.concatenate([self.labels, scores["labels"]])
        self.patients = numpy.concatenate([self.patients, numpy.asarray(scores["patients"]) + first])
        self.probabilities = numpy.concatenate([self.probabilities, scores["probabilities"]])
        return self

    def accuracy(self, at=slice(None)):
        return float((self.probabilities[at].argmax(1) == self.labels[at]).mean())

    def recall(self, name, at=slice(None)):
        c = self.classes.index(name)
        of = self.labels[at] == c
        return float((self.probabilities[at].argmax(1)[of] == c).mean()) if of.any() else None

    def balanced_accuracy(self, at=slice(None)):
        recalls = [self.recall(name, at) for name in self.classes]
        recalls = [recall for recall in recalls if recall is not None]
        return float(numpy.mean(recalls))

    def auc(self, positive, negative, at=slice(None)):
        """Of the images of two classes alone, by ranks (Hanley and McNeil 1982)."""
        labels, scores = self.labels[at], self.probabilities[at][:, self.classes.index(positive)]
        high = scores[labels == self.classes.index(positive)]
        low = scores[labels == self.classes.index(negative)]
        if not len(high) or not len(low):
            return None
        low = numpy.sort(low)
        below = numpy.searchsorted(low, high, "left")
        ties = numpy.searchsorted(low, high, "right") - below
        return float((below + ties / 2).sum() / (len(high) * len(low)))

    def interval(self, figure, draws=1000, seed=1):
        """95%, drawing patients with all of their images."""
        dice = numpy.random.default_rng(seed)
        images = [numpy.flatnonzero(self.patients == p) for p in numpy.unique(self.patients)]
        values = []
        for _ in range(draws):
            value = figure(numpy.concatenate([images[i] for i in dice.integers(0, len(images), len(images))]))
            if value is not None:
                values.append(value)
        return [float(v) for v in numpy.percentile(values, [2.5, 97.5])]

    def with_interval(self, figure):
        return {"value": figure(slice(None)), "ci95": self.interval(figure)}


def picture_statistics(path, side=224):
    """Of a centre-cropped picture: how bright, how much contrast, how sharp. No anatomy."""
    from PIL import Image
    image = Image.open(path).convert("L")
    square = min(image.size)
    left, top = (image.width - square) // 2, (image.height - square) // 2
    image = image.crop((left, top, left + square, top + square)).resize((side, side), Image.BOX)
    x = numpy.asarray(image, float) / 255
    dx, dy = numpy.diff(x, axis=1), numpy.diff(x, axis=0)
    laplacian = x[1:-1, 1:-1] * 4 - x[:-2, 1:-1] - x[2:, 1:-1] - x[1:-1, :-2] - x[1:-1, 2:]
    border = numpy.concatenate([x[0], x[-1], x[:, 0], x[:, -1]])
    return [x.mean(), x.std(), *numpy.percentile(x, [1, 5, 25, 50, 75, 95, 99]), (x < 0.02).mean(),
            (x > 0.98).mean(), dx.std(), dy.std(), laplacian.std(), border.mean(), border.std()]


def statistics_floor(train, test, classes):
    """A logistic regression on picture statistics alone, as scores like a run's."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def read(path):
        with open(path, newline="") as rows:
            rows = list(csv.DictReader(rows))
        return (numpy.array([picture_statistics(row["path"]) for row in rows]),
                numpy.array([classes.index(row["label"]) for row in rows]),
                [row["patient_id"] for row in rows])

    x, y, _ = read(train)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000, class_weight="balanced"))
    model.fit(x, y)
    x, y, patients = read(test)
    names = {patient: number for number, patient in enumerate(dict.fromkeys(patients))}
    return {"labels": y.tolist(), "patients": [names[patient] for patient in patients],
            "probabilities": model.predict_proba(x).tolist()}
