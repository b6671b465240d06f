import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from astro_lightning.core.metrics import calibration_error, classification_metrics


def predictions(labels, probability, classes):
    return pa.table({"label": labels, **{f"prob_{name}": probability[:, i] for i, name in enumerate(classes)}})


def test_agrees_with_scikit_learn_whatever_the_order_of_the_classes():
    rng = np.random.default_rng(0)
    classes = ["90", "15", "b", "A"]
    truth = rng.integers(0, 4, 500)
    probability = rng.dirichlet(np.ones(4), 500) + 0.5 * np.eye(4)[truth]
    probability /= probability.sum(1, keepdims=True)
    found = classification_metrics(predictions(np.array(classes)[truth], probability, classes), classes)
    decided = probability.argmax(1)
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(truth, decided))
    assert found["macro_f1"] == pytest.approx(sk.f1_score(truth, decided, average="macro"))
    assert found["log_loss"] == pytest.approx(sk.log_loss(truth, probability))
    assert found["roc_auc"] == pytest.approx(sk.roc_auc_score(truth, probability, multi_class="ovr"))
    assert found["recall_15"] == pytest.approx(sk.recall_score(truth, decided, labels=[1], average="macro"))


def test_unlabelled_rows_and_absent_classes_are_left_out():
    probability = np.array([[0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.3, 0.3, 0.4]])
    found = classification_metrics(predictions(["a", "b", None], probability, "abc"), list("abc"))
    assert found["n"] == 2 and found["accuracy"] == 1 and found["macro_f1"] == 1
    assert "f1_c" not in found


def test_nothing_labelled_gives_nothing_and_one_class_gives_no_area():
    probability = np.array([[0.9, 0.1]])
    assert classification_metrics(predictions(pa.array([None], pa.string()), probability, "ab"), list("ab")) == {}
    assert "roc_auc" not in classification_metrics(predictions(["a"], probability, "ab"), list("ab"))


def test_calibration_error_of_a_known_case():
    assert calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([1, 1, 1, 0])) == pytest.approx(0.15)
    assert calibration_error(np.array([1.0, 1.0]), np.array([1, 1])) == 0
