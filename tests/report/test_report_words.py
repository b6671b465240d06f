"""Model card, terminal tables, comparison."""

import io
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fake_run import make_run, predictions
from rich.console import Console

from astro_lightning.data.errors import BadInput
from astro_lightning.report.card import write_card
from astro_lightning.report.compare import compare, comparison_table, setting_differences
from astro_lightning.report.html import write_report
from astro_lightning.report.labels import read_label_table
from astro_lightning.report.plots import write_plots
from astro_lightning.report.run_folder import read_run
from astro_lightning.report.table import print_metrics, sweep_table
from astro_lightning.report.wording import duration, number

THREE = ["SN Ia", "SN II", "AGN"]


def console():
    return Console(file=io.StringIO(), width=160)


def printed(what) -> str:
    out = console()
    out.print(what)
    return out.file.getvalue()


def accuracy(table) -> float:
    p = np.stack([table[f"prob_{c}"].to_numpy() for c in THREE], axis=1)
    return float((np.array(THREE)[p.argmax(1)] == np.array(table["label"].to_pylist())).mean())


def test_card_states_what_a_reader_needs(tmp_path):
    table = predictions(THREE, 400).append_column("group", pa.array(np.arange(400) // 4))
    text = write_card(make_run(tmp_path / "plasticc" / "x", table, {"test/weighted_log_loss": 0.9})).read_text()
    assert f"| Accuracy | {accuracy(table):.3f} | [0." in text
    assert "bootstrap over 100 groups" in text
    assert "| Weighted log loss | 0.9000 | none |" in text
    assert "ab" * 32 in text and "| train | 17,500 |" in text and "seed 0" in text
    assert "CC BY 4.0" in text and "CITATION.cff" in text
    assert "python -m astro_lightning task=plasticc" in text
    for section in ("Data", "Numbers", "By class", "Limits", "Licence", "How to cite", "How to repeat"):
        assert f"\n## {section}\n" in text
    assert "imulated" not in text


def test_a_class_may_be_called_as_a_survey_likes(tmp_path):
    names = ["AGN/QSO", "<img src=x>\n# none"]
    table = predictions(names, 200)
    table = table.take([i for i, label in enumerate(table["label"].to_pylist()) if label == names[0]])
    text = write_card(make_run(tmp_path / "t" / "a", table, {"test/f1_AGN/QSO": 0.5})).read_text()
    numbers = text.partition("## Numbers")[2].partition("## By class")[0]
    assert "AGN" not in numbers and "| AGN/QSO |" in text
    assert "<img" not in text and "\n# none" not in text


def test_card_names_its_weak_and_unmeasured_classes(tmp_path):
    table = predictions(THREE, 400)
    agn = [i for i, label in enumerate(table["label"].to_pylist()) if label == "AGN"]
    rest = [i for i, label in enumerate(table["label"].to_pylist()) if label != "AGN"]
    weak = write_card(make_run(tmp_path / "t" / "a", table.take(rest + agn[:5]), data="simulated")).read_text()
    assert "Fewer than 30 test objects" in weak and ": AGN." in weak
    assert "not evidence of quality" in weak
    none = write_card(make_run(tmp_path / "t" / "b", table.take(rest))).read_text()
    assert "Never measured, as the test split holds none: AGN." in none


def test_card_cells_stay_in_their_column(tmp_path):
    text = write_card(make_run(tmp_path / "t" / "x", predictions(["a|b", "<c>"], 100))).read_text()
    assert "| a\\|b |" in text and "| &lt;c> |" in text


def test_card_without_predictions(tmp_path):
    text = write_card(make_run(tmp_path / "t" / "x", None, {"pretrain/val/loss": 0.5})).read_text()
    assert "this run states no quality" in text and "pretrain/val/loss" in text
    metrics = {"classify/lr-AdamW": 1e-3, "classify/val/loss": 0.5, "test/tag_f1_e": 0.75}
    tested = write_card(make_run(tmp_path / "scope" / "x", None, metrics)).read_text()
    assert "states no quality" not in tested and "have no intervals" in tested
    assert tested.index("test/tag_f1_e") < tested.index("classify/val/loss") and "lr-AdamW" not in tested


def test_card_says_how_good_growing_curves_are(tmp_path):
    table = predictions(THREE, 200)
    folder = make_run(tmp_path / "plasticc" / "x", table)
    (folder / "examples").mkdir()
    cut = [table.append_column("days", pa.array(np.full(200, days))) for days in (2.0, np.inf)]
    pq.write_table(pa.concat_tables(cut), folder / "examples" / "early.parquet")
    text = write_card(folder).read_text()
    rows = text.partition("## While the light curves grow")[2].splitlines()[4:6]
    assert rows[0].startswith(f"| 2 | 200 | {accuracy(table):.3f} [0.")
    assert rows[1].startswith("| whole curve | 200 |")


def test_each_label_has_its_f1_with_an_interval_on_report_and_card(tmp_path):
    rng = np.random.default_rng(0)
    truth = rng.random(600) < 0.3
    probability = np.where(rng.random(600) < 0.9, truth, ~truth) * 0.8 + 0.1
    known = {"truth_e": truth.astype(int), "prob_e": probability}
    unknown = {"truth_ea": pa.array([None] * 600, pa.int8()), "prob_ea": np.full(600, 0.4)}
    table = pa.table({"id": range(600)} | known | unknown)
    given = probability > 0.5
    f1 = 2 * (given & truth).sum() / (given.sum() + truth.sum())
    single = make_run(tmp_path / "scope" / "a", table, {"test/tag_f1_e": f1})
    assert f"{f1:.3f}" in write_report(single).read_text().partition("By label")[2]
    text = write_card(single).read_text()
    found = re.search(rf"\| e \| 600 \| {truth.sum()} \|.*\| {f1:.3f} \[(.*), (.*)\] \|", text)
    low, high = map(float, found.groups())
    assert f1 - 0.08 < low < f1 < high < f1 + 0.08
    assert "| ea | 0 | 0 |" in text and "have no intervals" not in text
    # Curves of one star are no evidence of their own: five copies of each have the interval of one.
    stars = pa.concat_tables([table] * 5).append_column("group", pa.array(list(range(600)) * 5))
    copies = make_run(tmp_path / "scope" / "b", stars, {"test/tag_f1_e": f1})
    write_report(copies)
    row = read_label_table(copies)[0]
    assert float(row["f1_high"]) - float(row["f1_low"]) == pytest.approx(high - low, rel=0.2)


def test_metrics_table_puts_the_test_split_first_with_intervals(tmp_path):
    table = predictions(THREE, 400)
    metrics = {
        "pretrain/val/loss": 0.61,
        "test/accuracy": accuracy(table),
        "test/f1_AGN": 0.123,
        "test/odd": float("nan"),
    }
    folder = make_run(tmp_path / "t" / "x", table, metrics)
    (folder / "report.html").write_text("")
    out = console()
    print_metrics(metrics, folder, out)
    text = out.file.getvalue()
    line = next(line for line in text.splitlines() if "Accuracy" in line)
    assert f"{accuracy(table):.4f}" in line and "[0." in line
    assert text.index("Accuracy") < text.index("pretrain")
    assert "0.123" not in text and "n/a" in text  # per class: from the predictions, in the second table
    assert str(folder / "report.html") in text


def test_metrics_table_takes_brackets_in_names_for_text(tmp_path):
    out = console()
    print_metrics({"test/[bold]x": 1.5}, make_run(tmp_path / "t" / "x", None), out)
    assert "[bold]x" in out.file.getvalue()


@pytest.mark.parametrize(("mode", "order"), [("min", "102"), ("max", "012")])
def test_sweep_is_best_first_and_failed_last(mode, order):
    values = [0.9, 0.1, float("nan")]
    jobs = [
        {"job": f"j{i}", "overrides": [f"lr=[{i}]"], "objective": v, "monitor": "val/loss", "mode": mode}
        for i, v in enumerate(values)
    ]
    jobs[0]["metrics"] = {"test/accuracy": 0.77}
    text = printed(sweep_table(jobs))
    assert [f"j{i}" for i in order] == sorted((f"j{i}" for i in order), key=text.index)
    assert "failed" in text and "lr=[0]" in text and "val/loss" in text and "0.7700" in text


@pytest.fixture
def two(tmp_path):
    table = predictions(THREE, 500, seed=1, skill=2.5)
    worse = predictions(THREE, 500, seed=1, skill=2.5)
    swapped = worse.rename_columns(["id", "label", "prob_SN II", "prob_SN Ia", "prob_AGN"]).select(worse.column_names)
    return [
        make_run(tmp_path / "plasticc" / "good", table, {"test/accuracy": accuracy(table), "finetune/val/loss": 0.25}),
        make_run(tmp_path / "plasticc" / "bad", swapped.take(np.random.default_rng(0).permutation(500)), seed=1),
    ]


def test_comparison_page(two):
    path = compare(two)
    text = path.read_text()
    assert path == two[0].parent / "compare.html"
    assert "http" not in text and "<script" not in text
    assert "good" in text and "bad" in text and "optimizer.<wbr>lr" in text and "0.25" in text
    assert "data.<wbr>name" not in text  # the same in both
    assert "not comparable" not in text
    difference = text[text.index("Difference from the first run") :]
    assert "-0." in difference and "[-0." in difference


def test_many_settings_that_differ_are_counted_and_folded(two):
    config = two[1] / "config.yaml"
    config.write_text(config.read_text() + "extra: {" + ", ".join(f"k{i}: {i}" for i in range(40)) + "}\n")
    n = len(setting_differences([read_run(folder) for folder in two]))
    assert n > 40 and f"<summary>{n} settings that differ</summary>" in compare(two).read_text()


def test_comparison_shows_the_pictures_of_both_and_stays_small(two):
    for run in two:
        write_plots(read_run(run))
    page = compare(two)
    text = page.read_text()
    assert text.count('alt="') == 8 and 'src="http' not in text
    assert page.stat().st_size < 5_000_000


def test_comparison_shows_what_a_run_recorded_where_it_left_no_predictions(two):
    (two[1] / "predictions.parquet").unlink()
    record = two[1] / "metrics.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"test/accuracy": 0.12345}))
    assert "0.123" in compare(two).read_text()


def test_a_comparison_begins_with_the_test_and_says_no_learning_rates(two):
    record = two[0] / "metrics.json"
    record.write_text(json.dumps({"regress/lr-AdamW": 1e-3, "regress/val/loss": 0.5, "test/nmad": 0.02}))
    text = printed(comparison_table(two))
    assert "lr-AdamW" not in text and text.index("test/nmad") < text.index("regress/val/loss")


def test_a_sweep_shows_what_its_jobs_differ_in():
    words = [f"data.simulation.setting_{i}={i}" for i in range(9)]
    jobs = [
        {"job": str(i), "objective": 0.1, "overrides": [*words, f"optimizer.lr=1e-{i}"], "mode": "min"} for i in (3, 4)
    ]
    text = printed(sweep_table(jobs))
    assert "optimizer.lr=1e-3" in text and "optimizer.lr=1e-4" in text and "setting_3" not in text


def test_comparison_is_paired_by_object(two, tmp_path):
    text = compare([two[0], two[0]]).read_text()
    assert "+0.000 <small>[0.000, 0.000]</small>" in text
    table = pq.read_table(two[0] / "predictions.parquet")
    other = make_run(
        tmp_path / "plasticc" / "other_order", table.take(np.random.default_rng(1).permutation(len(table)))
    )
    assert "+0.000 <small>[0.000, 0.000]</small>" in compare([two[0], other]).read_text()


def test_comparison_warns_of_other_data(two, tmp_path):
    about = two[1] / "provenance.json"
    about.write_text(about.read_text().replace("cd" * 32, "ef" * 32))
    assert "not comparable" in compare(two, out=tmp_path / "c.html").read_text()
    assert "not comparable" in " ".join(printed(comparison_table(two)).split())


def test_comparison_in_the_terminal(two):
    text = printed(comparison_table(two))
    assert "Accuracy" in text and "[0." in text and "optimizer.lr" in text and "0.002" in text


def test_comparison_needs_two_runs(two):
    with pytest.raises(BadInput, match="2 to 12"):
        compare(two[:1])


@pytest.mark.parametrize(
    ("value", "text"),
    [(float("nan"), "n/a"), (None, "n/a"), (0.5, "0.500"), (1234567, "1,234,567"), (2e-5, "2.00e-05"), (0.0, "0.000")],
)
def test_number(value, text):
    assert number(value) == text


def test_duration():
    assert [duration(s) for s in (5.25, 59.9, 812.4, 7321)] == ["5.2 s", "1 min 0 s", "13 min 32 s", "2 h 2 min"]
