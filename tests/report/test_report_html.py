import base64
import io
import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fake_run import PLASTICC, light_curves, make_run, predictions
from PIL import Image

from astro_lightning.data.errors import BadInput
from astro_lightning.report.html import write_report

THREE = ["SN Ia", "SN II", "AGN"]


class Page(HTMLParser):
    def __init__(self, text: str):
        super().__init__()
        self.tags, self.links, self.text = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.links += [value for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


def page_of(path: Path) -> Page:
    return Page(path.read_text())


def accuracy(table: pa.Table, classes: list[str]) -> float:
    probability = np.stack([table[f"prob_{c}"].to_numpy() for c in classes], axis=1)
    return float(np.mean(np.array(classes)[probability.argmax(1)] == np.array(table["label"].to_pylist())))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    table = predictions(PLASTICC, 1200)
    folder = tmp_path_factory.mktemp("outputs") / "plasticc" / "one"
    metrics = {"test/accuracy": accuracy(table, PLASTICC), "test/weighted_log_loss": 1.23456, "finetune/val/loss": 0.5}
    make_run(folder, table, metrics, examples=light_curves(table, PLASTICC))
    return folder, table, write_report(folder)


def test_page_states_metrics_command_and_fingerprint(full):
    _, table, report = full
    text = " ".join(page_of(report).text)
    assert f"{accuracy(table, PLASTICC):.3f}" in text
    assert "1.2346" in text and "Weighted log loss" in text
    assert "python -m astro_lightning task=plasticc data=mallorn 'run_name=first try' seed=0" in text
    assert "ab" * 32 in text and "cd" * 32 in text
    assert "17,500" in text and "13 min 32 s" in text and "seed 0" in text
    for name in PLASTICC:
        assert name in text
    assert "SIMULATED" not in text


def test_interval_holds_the_value(full):
    text = full[2].read_text()
    value, low, high = map(float, re.search(r"Accuracy</span><b>([\d.]+)</b>.*?\[([\d.]+), ([\d.]+)\]", text).groups())
    assert low < value < high
    assert 0.03 < high - low < 0.09  # 1,200 objects: about 4 sqrt(p (1 - p) / n)


def test_page_is_self_contained_and_small(full):
    report = full[2]
    text = report.read_text()
    assert report.stat().st_size < 5_000_000
    assert all(link.startswith("data:image/") for link in page_of(report).links)
    assert "http" not in re.sub(r'src="data:[^"]*"', "", text)
    assert "@import" not in text and "url(" not in text


def test_pictures_decode(full):
    folder, _, report = full
    drawn = {path.stem for path in (folder / "plots").glob("*.png")}
    assert drawn >= {"confusion", "classes", "roc", "precision_recall", "reliability", "mistakes", "light_curves"}
    assert drawn >= {"learning_pretrain", "learning_finetune"}
    for path in (folder / "plots").glob("*.png"):
        with Image.open(path) as image:
            assert image.width > 300
            assert np.asarray(image.convert("L")).std() > 5
        assert path.with_suffix(".txt").read_text()
    vectors = [link for link in page_of(report).links if link.startswith("data:image/svg+xml;base64,")]
    assert len(vectors) == len(drawn) - 1 + 9
    for link in vectors:
        svg = base64.b64decode(link.split(",", 1)[1]).decode()
        ET.fromstring(svg)
        assert "prefers-color-scheme:dark" in svg and "var(--1f2937)" in svg
        assert "mathdefault" not in svg


def test_no_unfinished_files_remain(full):
    assert not list(full[0].rglob("*.part"))


def test_everything_a_user_wrote_is_escaped(tmp_path):
    nasty = ["<script>alert(1)</script>", 'a" onload="x', "$5_{b}$ & co"]
    table = predictions(nasty, 200)
    table = table.set_column(0, "id", pa.array([f"<img src=x{i}>" for i in range(200)]))
    folder = make_run(tmp_path / "plasticc" / "x", table, {"test/<b>odd</b>": 1.0}, title="<script>t</script>")
    page = page_of(write_report(folder))
    assert "script" not in page.tags and "b" in page.tags
    assert all(link.startswith("data:image/") for link in page.links)
    assert "<script>alert(1)</script>" in page.text
    for link in page.links:
        ET.fromstring(base64.b64decode(link.split(",", 1)[1]).decode())


def test_simulated_runs_say_so(tmp_path):
    folder = make_run(tmp_path / "plasticc" / "x", predictions(THREE, 200), {}, data="simulated")
    text = " ".join(page_of(write_report(folder)).text)
    assert "SIMULATED" in text and "not evidence of quality" in text


def test_pretraining_only_and_nan_metrics(tmp_path):
    metrics = {"pretrain/val/loss": 0.6123, "pretrain/train/loss": float("nan")}
    folder = make_run(tmp_path / "plasticc_pretrain" / "x", None, metrics, stages=("pretrain",))
    text = " ".join(page_of(write_report(folder)).text)
    assert "0.612" in text and "n/a" in text
    assert [path.stem for path in (folder / "plots").glob("*.png")] == ["learning_pretrain"]


def test_bare_run_folder(tmp_path):
    (tmp_path / "config.yaml").write_text("task: {name: spectra}\n")
    assert "spectra" in write_report(tmp_path).read_text()
    with pytest.raises(BadInput, match=r"config\.yaml"):
        write_report(tmp_path / "nowhere")


def test_one_class_only(tmp_path):
    table = predictions(THREE, 300)
    table = table.filter(pa.array([label == "AGN" for label in table["label"].to_pylist()]))
    text = " ".join(page_of(write_report(make_run(tmp_path / "t" / "x", table))).text)
    assert "n/a" in text and "Accuracy" in text


def test_unlabelled_and_foreign_rows_are_counted_not_scored(tmp_path):
    table = predictions(["real", "bogus"], 300)
    right = accuracy(table.slice(30), ["real", "bogus"])
    labels = [None] * 10 + ["asteroid"] * 20 + table["label"].to_pylist()[30:]
    table = table.set_column(1, "label", pa.array(labels))
    text = " ".join(page_of(write_report(make_run(tmp_path / "rb" / "x", table))).text)
    assert "Test split of 270 objects" in text
    assert "10 without a label" in text and "20 with a label that is not among the classes" in text
    assert f"{right:.3f}" in text


def test_no_labels_at_all(tmp_path):
    table = predictions(THREE, 50).drop_columns("label")
    text = " ".join(page_of(write_report(make_run(tmp_path / "t" / "x", table, {"a/val/loss": 0.25}))).text)
    assert "Nothing was tested against labels" in text and "0.250" in text


def test_labels_that_do_not_exclude_each_other_are_a_test_and_without_positives_have_no_picture(tmp_path):
    table = pa.table(
        {"id": range(4), "label": ["e", "", "e", ""], "truth_e": [1, 0, 1, 0], "prob_e": [0.9, 0.2, 0.8, 0.6]}
    )
    metrics = {"test/tag_f1_e": 0.75, "classify/val/loss": 0.5}
    report = write_report(make_run(tmp_path / "scope" / "x", table, metrics, stages=()))
    page = page_of(report)
    assert "Tag F1 e" in page.text and "Test split, as the run recorded it, without intervals." in page.text
    without = table.set_column(2, "truth_e", pa.array([0, 0, 0, 0]))
    bare = write_report(make_run(tmp_path / "scope" / "y", without, metrics, stages=()))
    assert (report.parent / "plots" / "label_curves.png").exists()
    assert not list((bare.parent / "plots").glob("label*.png"))


def test_sixty_classes_stay_small(tmp_path):
    names = [f"class number {i}" for i in range(60)]
    report = write_report(make_run(tmp_path / "scope" / "x", predictions(names, 3000, skill=3), stages=()))
    assert report.stat().st_size < 5_000_000
    assert "class number 59" in report.read_text()


def test_many_labels_and_large_pictures_together_stay_below_five_megabytes(tmp_path):
    rng = np.random.default_rng(0)
    names = [f"t{i}" for i in range(26)]
    truth = rng.integers(0, 2, (20_000, 26))
    table = {f"truth_{name}": truth[:, i] for i, name in enumerate(names)}
    table |= {f"prob_{name}": 0.5 * truth[:, i] + 0.5 * rng.random(20_000) for i, name in enumerate(names)}
    folder = make_run(tmp_path / "scope" / "x", pa.table({"id": range(20_000)} | table), stages=())
    (folder / "plots").mkdir()
    noise = rng.integers(0, 255, (350, 350, 3), dtype=np.uint8)
    for i in range(12):
        Image.fromarray(noise).save(folder / "plots" / f"cutouts_{i}.png", compress_level=0)
    report = write_report(folder)
    assert report.stat().st_size < 5_000_000 and "Too large for this page" in report.read_text()


def test_conformal_p_values_give_a_coverage_picture(tmp_path):
    table = predictions(THREE, 300)
    rng = np.random.default_rng(0)
    for name in THREE:
        table = table.append_column(f"p_{name}", pa.array(rng.random(300)))
    folder = make_run(tmp_path / "t" / "x", table.append_column("p_known", pa.array(rng.random(300))))
    assert "Conformal coverage" in write_report(folder).read_text()


def test_pictures_of_the_task_are_shown_and_large_ones_made_small(tmp_path):
    folder = make_run(tmp_path / "rb" / "x", predictions(["real", "bogus"], 100), stages=())
    (folder / "plots").mkdir()
    noise = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3), dtype=np.uint8)
    for name in ("cutouts_a", "cutouts_b"):
        Image.fromarray(noise).save(folder / "plots" / f"{name}.png", compress_level=0)
    Image.fromarray(noise[:100, :100]).save(folder / "plots" / "small.png")
    (folder / "plots" / "cutouts_a.txt").write_text("Cutouts <of> mistakes")
    report = write_report(folder)
    page = page_of(report)
    assert report.stat().st_size < 5_000_000
    assert "Cutouts <of> mistakes" in page.text
    png = next(link for link in page.links if link.startswith("data:image/png"))
    with Image.open(io.BytesIO(base64.b64decode(png.split(",", 1)[1]))) as image:
        assert max(image.size) == 1400
    assert any("plots/cutouts_b.png" in text for text in page.text)
    assert sum(link.startswith("data:image/png") for link in page.links) == 2


def test_twice_gives_the_same_page(tmp_path):
    folder = make_run(tmp_path / "t" / "x", predictions(THREE, 200))
    first = write_report(folder).read_bytes()
    assert write_report(folder).read_bytes() == first


def test_damaged_file_is_named(tmp_path):
    folder = make_run(tmp_path / "t" / "x", None)
    (folder / "metrics.json").write_text(json.dumps({"a": 1})[:-1])
    with pytest.raises(BadInput, match=r"metrics\.json"):
        write_report(folder)
    for content in (b"task: \xff", b"- a list", b"words"):  # another program's
        (folder / "config.yaml").write_bytes(content)
        with pytest.raises(BadInput, match=r"config\.yaml"):
            write_report(folder)
