"""The page of results is what the files give; a file is refused where its runs are not of one experiment."""

import json

import numpy as np
import pytest
import yaml
from fake_run import make_run, predictions

from astro_lightning.data.errors import BadInput
from astro_lightning.report.run_folder import read_run
from benchmarks import conformal_ood, record, results, scale_page, table

CLASSES = ["AGN", "Ia", "TDE"]


def test_the_page_is_what_the_files_give():
    text = results.page(results.HERE / "results", yaml.safe_load((results.HERE / "published.yaml").read_text()))
    assert results.PAGE.read_text() == text, "python -m benchmarks.results"


def test_the_page_of_scale_is_what_its_file_gives():
    assert scale_page.PAGE.read_text() == scale_page.page(table.RESULTS / "scale.json"), (
        "python -m benchmarks.scale_page"
    )


def test_rows_have_names_of_their_own():
    sections = yaml.safe_load((results.HERE / "published.yaml").read_text())
    names = [row["name"] for section in sections for row in section["rows"]]
    assert len(names) == len(set(names))


def finished(folder, seed, accuracy, **changes):
    run = make_run(folder, predictions(CLASSES, 200), {"test/accuracy": accuracy}, seed=0)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"seed": seed, "workers": seed} | changes
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    about = json.loads((run / "provenance.json").read_text())
    about |= {"seed": seed, "python": "3.11", "hardware": about["hardware"] | {"machine": "x86_64", "memory_gib": 8}}
    (run / "provenance.json").write_text(json.dumps(about))
    words = ["experiment=mallorn", f"seed={seed}", "paths.outputs=/tmp/x", "task.heads=[a,b]"]
    (run / "job.json").write_text(json.dumps({"overrides": words, "finished": True}))
    return read_run(run)


def test_runs_of_three_seeds_become_a_mean_and_an_interval(tmp_path):
    found = record.record([finished(tmp_path / str(i), i, value) for i, value in enumerate((0.8, 0.9, 1.0))])
    assert found["command"] == "python -m astro_lightning -m experiment=mallorn 'task.heads=[a,b]' seed=0,1,2"
    metric = found["metrics"]["test/accuracy"]
    assert metric["values"] == [0.8, 0.9, 1.0]
    assert metric["mean"] == pytest.approx(0.9)
    assert metric["over_seeds"][1] - 0.9 == pytest.approx(4.303 * 0.1 / 3**0.5, abs=1e-3)


def test_a_run_that_was_resumed_is_recorded_without_how_long_it_took(tmp_path):
    run = finished(tmp_path / "run", 0, 0.8)
    (run.path / "provenance.json").write_text(json.dumps(run.provenance | {"seconds": None}))
    found = record.record([read_run(run.path), finished(tmp_path / "other", 1, 0.8)])
    assert found["seconds"] == [None, 812.4]
    table.write(tmp_path / "quality" / "out.json", found)
    said = results.commands([{"run": "out"}], tmp_path)
    assert "seed=0,1" in said and "min in all" not in said


def test_one_seed_has_the_interval_over_its_objects(tmp_path):
    run = finished(tmp_path / "run", 0, 0.0)
    accuracy = run.scores.overall["accuracy"].value
    found = record.metrics([finished(tmp_path / "same", 0, accuracy)])["test/accuracy"]
    assert "over_seeds" not in found
    assert found["over_objects"][0] < accuracy < found["over_objects"][1]


@pytest.mark.parametrize(
    ("seed", "changes", "reason"),
    [(1, {"optimizer": {"lr": 7}}, "optimizer.lr"), (0, {}, "one seed"), (1, {"data": {"name": "spcc"}}, r"data\.")],
)
def test_runs_of_two_experiments_are_refused(tmp_path, seed, changes, reason):
    with pytest.raises(BadInput, match=reason):
        record.record([finished(tmp_path / "a", 0, 0.8), finished(tmp_path / "b", seed, 0.8, **changes)])


def test_a_table_lands_on_the_page_and_gives_a_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    table.write_table("speed", "Speed", ["what", "rate"], [["CSV", 1234.5678], ["GPU", None]], "Rows.", "python x.py")
    sections = [
        {
            "section": "Speed",
            "rows": [
                {"name": "csv", "what": "CSV", "cell": ["speed", "CSV", "rate"], "target": 1000, "protocol": "alone"},
                {"name": "gpu", "what": "GPU", "cell": ["speed", "GPU", "rate"], "protocol": "alone"},
                {"name": "run", "what": "a run", "run": "absent", "metric": "test/accuracy", "protocol": "5 folds"},
            ],
        }
    ]
    text = results.page(tmp_path, sections)
    assert "| CSV |  |  | ≥ 1,000 | **1234.6** |" in text
    assert text.count(results.NOT_MEASURED) == 3
    assert "`python x.py`" in text
    with pytest.raises(ValueError, match="same name"):
        table.write_table("speed", "Speed", ["what", "rate"], [["CSV", 1], ["CSV", 2]])


def test_cells_and_shares_have_the_intervals_that_the_list_names(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    table.write_table(
        "area", "Area", ["what", "all", "low", "scatter"], [["ours", 0.8, 0.7, 0.02], ["high", 0.9, None, None]]
    )
    metrics = {"test/accuracy": {"mean": 1.0, "values": [1.0]}, "test/n": {"mean": 108.0, "values": [108.0]}}
    run = {
        "metrics": metrics,
        "seeds": [0],
        "command": "python x.py",
        "machine": "m",
        "versions": {"python": "3.11", "torch": "2"},
    }
    table.write(tmp_path / "quality" / "out.json", run | {"seconds": [60], "fingerprint": "f" * 64})
    shared = {"what": "", "protocol": ""}
    rows = [
        {
            "name": "a",
            "cell": ["area", "ours", "all"],
            "interval": [["ours", "low"], ["high", "all"], "objects"],
            **shared,
        },
        {"name": "b", "cell": ["area", "ours", "all"], "spread": ["ours", "scatter", "of a seed"], **shared},
        {"name": "c", "run": "out", "metric": "test/accuracy", "count": "test/n", **shared},
    ]
    text = results.page(tmp_path, [{"section": "S", "rows": rows}])
    assert "| 0.800 [0.700, 0.900] objects |" in text and "| 0.800 ± 0.020 of a seed |" in text
    assert "| 1.000 [0.966, 1.000] objects |" in text  # 1 - .025^(1/108) can be wrong
    assert "(m; python 3.11, torch 2; 1 min in all" in text
    with pytest.raises(KeyError, match=r"published\.yaml, b: area\.json has no row 'theirs'"):
        results.row_of(rows[1] | {"spread": ["theirs", "scatter", ""]}, tmp_path)


def test_an_interval_holds_the_number_that_it_stands_beside():
    """The worst of several cases may be another one after the next measurement."""
    for section in yaml.safe_load((results.HERE / "published.yaml").read_text()):
        for row in (row for row in section["rows"] if "interval" in row):
            content = json.loads((results.HERE / "results" / f"{row['cell'][0]}.json").read_text())
            low, high = (results.cell(row, content, *place) for place in row["interval"][:2])
            assert low <= results.cell(row, content, *row["cell"][1:]) <= high, row["name"]


def test_false_discoveries_and_their_bounds_are_of_the_same_seeds():
    """Case 0: one seed of three flags anything; case 1: none does; case 2: not measured."""
    found = np.full((3, len(conformal_ood.ROWS), 3), 0.5)
    first = list(conformal_ood.ROWS).index("false discoveries (0.1 asked)")
    found[:, first : first + 3] = np.nan
    found[1, first : first + 3, 0] = [0.099, 0.059, 0.154]
    found[:, :, 2] = np.nan
    share, low, high = conformal_ood.averaged(found)[first : first + 3]
    np.testing.assert_allclose([share[0], low[0], high[0]], [0.099, 0.059, 0.154])
    np.testing.assert_array_equal([share[1], share[2], low[1]], [0.0, np.nan, np.nan])
