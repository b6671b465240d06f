import tracemalloc

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import PLASTICC, predictions
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score, roc_curve

from astro_lightning.core.metrics import calibration_error
from astro_lightning.data.errors import BadInput
from astro_lightning.methods.conformal.evaluate import summary
from astro_lightning.report.conformal import conformal_coverage
from astro_lightning.report.intervals import bootstrap
from astro_lightning.report.predictions import read_predictions
from astro_lightning.report.ranking import areas, descending_ranks, threshold_counts
from astro_lightning.report.scores import (
    confusion_counts,
    precision_recall_f1,
    score,
)


@pytest.fixture
def read(tmp_path):
    def write_and_read(table):
        pq.write_table(table, tmp_path / "predictions.parquet")
        return read_predictions(tmp_path / "predictions.parquet")

    return write_and_read


def test_metrics_equal_scikit_learn(read):
    found = read(predictions(PLASTICC, 3000))
    scores = score(found)
    p, y = found.probabilities, found.truth
    assert scores.overall["accuracy"].value == pytest.approx((p.argmax(1) == y).mean())
    assert scores.overall["macro_f1"].value == pytest.approx(f1_score(y, p.argmax(1), average="macro"))
    assert scores.overall["log_loss"].value == pytest.approx(log_loss(y, p / p.sum(1, keepdims=True)), rel=1e-5)
    assert scores.overall["roc_auc"].value == pytest.approx(
        np.mean([roc_auc_score(y == c, p[:, c]) for c in range(len(PLASTICC))])
    )
    assert scores.overall["pr_auc"].value == pytest.approx(
        np.mean([average_precision_score(y == c, p[:, c]) for c in range(len(PLASTICC))])
    )
    for name in ("accuracy", "macro_f1", "log_loss", "roc_auc", "pr_auc"):
        estimate = scores.overall[name]
        assert estimate.low < estimate.value < estimate.high


def test_conformal_numbers_have_intervals_and_are_those_that_the_run_records(read):
    table = predictions(PLASTICC, 800)
    rng = np.random.default_rng(0)
    sets = [[name for name in PLASTICC if rng.random() < 0.1 or name == label] for label in table["label"].to_pylist()]
    sets[:200] = [[]] * 200
    table = table.append_column("set", [sets]).append_column("ood_p", [rng.random(800)])
    table = table.append_column("ood_flag", [rng.random(800) < 0.3])
    recorded, scores = summary(table, PLASTICC), score(read(table))
    for name in ("coverage", "set_size", "flagged_known"):
        estimate = scores.interval(f"test/{name}", recorded[name])
        assert recorded[name] == pytest.approx(estimate.value)
        assert estimate.low < estimate.value < estimate.high
    nothing = pa.array(np.zeros(800, bool))
    table = table.set_column(table.column_names.index("ood_flag"), "ood_flag", nothing)
    assert score(read(table)).interval("test/flagged_known", 0.0) is None


def test_areas_with_ties_equal_scikit_learn():
    rng = np.random.default_rng(0)
    truth, p = rng.integers(0, 3, 400), np.round(rng.random((400, 3)), 1)
    roc, precision = areas(truth, ranks := descending_ranks(p), int(ranks.max()) + 1)
    for c in range(3):
        assert roc[c] == pytest.approx(roc_auc_score(truth == c, p[:, c]))
        assert precision[c] == pytest.approx(average_precision_score(truth == c, p[:, c]))
        true, false = threshold_counts(p[:, c], truth == c)
        x, y, _ = roc_curve(truth == c, p[:, c], drop_intermediate=False)
        np.testing.assert_allclose(false / false[-1], x)
        np.testing.assert_allclose(true / true[-1], y)


def test_the_calibration_error_weighs_a_bin_by_its_objects():
    confidence = np.repeat([0.95, 0.55], [300, 100])
    correct = np.concatenate([np.arange(300) < 240, np.arange(100) < 50])  # 0.8 and 0.5
    assert calibration_error(confidence, correct) == pytest.approx(0.75 * 0.15 + 0.25 * 0.05)


def test_class_that_never_occurs_has_no_numbers_and_leaves_the_means_alone(read):
    table = predictions(["a", "b"], 200)
    before = score(read(table)).overall["macro_f1"].value
    scores = score(read(table.append_column("prob_c", pa.array(np.zeros(200)))))
    assert np.isnan(scores.per_class["f1"][2]) and np.isnan(scores.per_class["roc_auc"][2])
    assert scores.overall["macro_f1"].value == pytest.approx(before)


def test_rows_with_nan_are_left_out(read):
    table = predictions(["a", "b"], 100)
    p = table["prob_a"].to_numpy().copy()
    p[:7] = np.nan
    scores = score(read(table.set_column(table.column_names.index("prob_a"), "prob_a", pa.array(p))))
    assert scores.n_scored == 93 and scores.n_not_finite == 7


def test_only_the_test_split_counts(read):
    table = predictions(["a", "b"], 100)
    found = read(table.append_column("split", pa.array(["train"] * 60 + ["test"] * 40)))
    assert len(found.truth) == 40


def test_rows_that_the_task_counts_out_enter_no_metric(read):
    table = predictions(["a", "b"], 100)
    counted = np.arange(100) >= 30
    found = read(table.append_column("counted", pa.array(counted)))
    scores, alone = score(found), score(read(table.slice(30)))
    assert len(found.truth) == 100 and scores.n_scored == 70 and scores.n_doubtful == 30
    assert scores.overall == alone.overall
    np.testing.assert_array_equal(scores.confusion, alone.confusion)


def test_intervals_are_over_groups_where_there_are_some(read):
    table = predictions(["a", "b"], 100).take(np.repeat(np.arange(100), 9))
    rows, groups = score(read(table)), score(read(table.append_column("group", pa.array(np.arange(900) // 9))))
    assert (rows.unit, rows.n_units, groups.unit, groups.n_units) == ("objects", 900, "groups", 100)
    for name in ("accuracy", "macro_f1", "log_loss", "roc_auc", "pr_auc"):
        by_row, by_group = rows.overall[name], groups.overall[name]
        assert by_row.value == by_group.value
        assert (by_group.high - by_group.low) / (by_row.high - by_row.low) == pytest.approx(3, rel=0.25)


def test_a_table_without_probabilities_has_no_classes_to_score(read):
    assert read(pa.table({"id": [1], "label": ["a"], "anomaly": [0.5]})) is None


def test_interval_only_beside_the_number_it_was_made_for(read):
    scores = score(read(predictions(["a", "b"], 300)))
    value = scores.overall["accuracy"].value
    assert scores.interval("test/accuracy", value).low < value
    assert scores.interval("test/accuracy", value + 0.01) is None
    assert scores.interval("finetune/val/accuracy", value) is None
    assert scores.interval("test/calibration_error", scores.overall["calibration_error"].value) is None


def test_bootstrap_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for seed in range(200):
        low, high = bootstrap(np.mean, [rng.random(150) < 0.7], n=300, seed=seed)
        hits += low <= 0.7 <= high
    assert 0.90 <= hits / 200 <= 0.99


def test_bootstrap_over_groups_is_wider_where_rows_repeat():
    value = np.random.default_rng(2).normal(size=100)
    rows, groups = np.repeat(value, 10), np.repeat(np.arange(100), 10)
    low, high = bootstrap(np.mean, [rows])
    group_low, group_high = bootstrap(np.mean, [rows], groups=groups)
    assert (group_high - group_low) / (high - low) == pytest.approx(np.sqrt(10), rel=0.15)


def test_bootstrap_draws_whole_groups():
    groups = np.array([3, 1, 3, 1, 2])
    seen = []

    def record(g):
        seen.append({name: int((g == name).sum()) for name in (1, 2, 3)})
        return 0.0

    bootstrap(record, [groups], groups=groups, n=50)
    assert all(draw[1] % 2 == 0 and draw[3] % 2 == 0 for draw in seen)
    assert len({tuple(draw.values()) for draw in seen}) > 3


def test_bootstrap_is_repeatable_and_undefined_for_one_row_or_group():
    values = np.random.default_rng(3).random(50)
    assert bootstrap(np.mean, [values]) == bootstrap(np.mean, [values])
    assert np.isnan(bootstrap(np.mean, [values[:1]])).all()
    assert np.isnan(bootstrap(np.mean, [values], groups=np.zeros(50))).all()


def test_bootstrap_of_macro_f1_holds_between_its_ends():
    rng = np.random.default_rng(4)
    truth, predicted = rng.integers(0, 14, (2, 5000))

    def both(truth, predicted):
        table = confusion_counts(truth, predicted, 14)
        return np.array([np.trace(table) / table.sum(), precision_recall_f1(table)[2].mean()])

    low, high = bootstrap(both, (truth, predicted))
    assert (low < high).all()


def test_predictions_that_are_cut_short_are_refused_by_name(tmp_path):
    file = tmp_path / "predictions.parquet"
    pq.write_table(predictions(PLASTICC, 100), file)
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(BadInput, match=r"predictions\.parquet: cannot be read"):
        read_predictions(file)


def test_large_tests_take_little_more_memory_than_their_own_tables():
    rng = np.random.default_rng(0)
    truth, p_values = rng.integers(0, 20, 50_000), rng.random((50_000, 20))
    ranks = descending_ranks(p_values)
    for work, table in (
        (lambda: areas(truth, ranks, len(ranks)), ranks),
        (lambda: conformal_coverage(p_values, truth, list("abcdefghijklmnopqrst")), p_values),
    ):
        tracemalloc.start()
        work()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2 * table.nbytes
