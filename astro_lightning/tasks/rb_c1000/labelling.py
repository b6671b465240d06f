"""The expert: a page of cutouts that works offline in a browser, and the labels that come back from it."""

import base64
import html
import io
import json
import os
import uuid
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from astro_lightning.data.errors import BadInput
from astro_lightning.data.records import Records
from astro_lightning.data.tables import write_parquet

CHOICES = {"real": 1.0, "bogus": 0.0}
PICTURES = ("science", "reference", "difference")


class LabelsWanted(BadInput):
    """The run stops until a person has labelled; it goes on with `resume=`."""


def ask(records: Records, rows: np.ndarray, p_real: np.ndarray, folder: Path, path: Path) -> Path:
    """Read the expert's labels, or write the page that asks for them and stop.

    Args:
        records: With fixed `stamp`.
        rows: Objects to label.
        p_real: What the model thinks of them, shape (n,).
        folder: The run folder; the page goes to `to_label/index.html`, labels come from `to_label/labels.csv`.
        path: Where the labels go for the next stage: id, soft, weight.

    Raises:
        LabelsWanted: There are no labels yet, or not all.
        BadInput: The labels file has other columns, names or objects.
    """
    to_label = folder / "to_label"
    to_label.mkdir(exist_ok=True)
    labels = to_label / "labels.csv"
    if not (to_label / "candidates.parquet").exists():
        candidates = pa.table({"id": pa.array(records.ids[rows].tolist()), "p_real": pa.array(p_real)})
        write_parquet(lambda: iter([candidates]), to_label / "candidates.parquet")
        _write_page(records, rows, p_real, to_label / "index.html")
    ids = pq.read_table(to_label / "candidates.parquet")["id"].to_pylist()
    given = read_labels(labels) if labels.exists() else {}
    missing = [identifier for identifier in ids if str(identifier) not in given]
    if missing:
        raise LabelsWanted(
            f"{len(missing)} of {len(ids)} objects wait for your label: open {to_label / 'index.html'} in a browser, save "
            f"labels.csv into {to_label}, then resume={folder}"
        )
    soft = pa.array([given[str(identifier)] for identifier in ids], pa.float32())
    ones = pa.array(np.ones(len(ids), dtype=np.float32))
    table = pa.table(
        {"id": pa.array(ids), "soft": soft, "weight": ones, "members": pa.array(np.ones(len(ids), dtype=np.int64))}
    )
    write_parquet(lambda: iter([table]), path)
    return path


def read_labels(path: Path) -> dict[str, float]:
    """Identifier (as text) -> 1 for real, 0 for bogus.

    Raises:
        BadInput: A column is missing, or a label is neither real nor bogus.
    """
    options = pa.csv.ConvertOptions(column_types={"id": pa.string(), "label": pa.string()})
    table = pa.csv.read_csv(path, convert_options=options)
    if not {"id", "label"} <= set(table.column_names):
        raise BadInput(f"{path} must have the columns id and label; it has {', '.join(table.column_names)}")
    strange = sorted(set(table["label"].to_pylist()) - set(CHOICES), key=str)
    if strange:
        raise BadInput(f"{path}: label {strange[0]!r} is neither real nor bogus")
    return {i: CHOICES[name] for i, name in zip(table["id"].to_pylist(), table["label"].to_pylist(), strict=True)}


def _write_page(records: Records, rows: np.ndarray, p_real: np.ndarray, path: Path) -> None:
    from astro_lightning.tasks.rb_c1000.data import pixels
    from astro_lightning.tasks.rb_c1000.preprocess import preprocess

    if "stamp" not in records.fixed:
        raise BadInput("oracle=person shows cutouts, and these records have none: choose task.loop.oracle=dataset")
    stamps = preprocess(pixels(records, rows), "robust")
    cards = [
        {"id": str(identifier), "p": round(float(p), 3), "pictures": [_picture(image) for image in stamp]}
        for identifier, p, stamp in zip(records.ids[rows].tolist(), p_real, stamps, strict=True)
    ]
    page = PAGE.replace("@CARDS@", json.dumps(cards)).replace("@NAMES@", html.escape(json.dumps(PICTURES), quote=False))
    temporary = path.with_name(f".{uuid.uuid4().hex[:8]}.html")
    temporary.write_text(page)
    os.replace(temporary, path)


def _picture(image: np.ndarray) -> str:
    from matplotlib.image import imsave

    low, high = np.percentile(image, [1, 99.7])
    stream = io.BytesIO()
    imsave(stream, np.clip(image, low, max(high, low + 1e-6)), cmap="gray", format="png", origin="lower")
    return base64.b64encode(stream.getvalue()).decode()


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Real or bogus?</title>
<style>
 body { font: 16px sans-serif; max-width: 60rem; margin: 1rem auto; padding: 0 1rem; background: #111; color: #eee }
 .pictures { display: flex; gap: .5rem; flex-wrap: wrap }
 figure { margin: 0; flex: 1 1 12rem } img { width: 100%; image-rendering: pixelated; border: 1px solid #555 }
 button { font-size: 1.1rem; padding: .5rem 1.2rem; margin: .5rem .5rem 0 0 } button:focus { outline: 3px solid #fd0 }
 .chosen { background: #fd0 } progress { width: 100% }
</style>
<h1>Real or bogus?</h1>
<p>Keys: <b>R</b> real, <b>B</b> bogus, arrows to move. Labels are kept in this browser until you save them.</p>
<progress id="done"></progress> <p id="state" role="status"></p>
<div class="pictures" id="pictures"></div>
<button id="real">Real (R)</button><button id="bogus">Bogus (B)</button>
<button id="back">&larr; Back</button><button id="next">Next &rarr;</button><button id="save">Save labels.csv</button>
<script>
const cards = @CARDS@, names = @NAMES@, key = "labels " + cards.map(c => c.id).join();
let labels = {}, at = 0;
try { labels = JSON.parse(localStorage.getItem(key) || "{}") } catch (e) {}
const of = id => document.getElementById(id);
function show() {
  const card = cards[at], n = Object.keys(labels).length;
  of("pictures").innerHTML = card.pictures.map((p, i) =>
    `<figure><img alt="${names[i]}" src="data:image/png;base64,${p}"><figcaption>${names[i]}</figcaption></figure>`).join("");
  of("state").textContent = `${at + 1} of ${cards.length} - object ${card.id} - model says ${card.p} - ${n} labelled`;
  of("done").max = cards.length; of("done").value = n;
  for (const name of ["real", "bogus"]) of(name).className = labels[card.id] === name ? "chosen" : "";
}
function move(step) { at = Math.min(cards.length - 1, Math.max(0, at + step)); show() }
function label(name) {
  labels[cards[at].id] = name;
  try { localStorage.setItem(key, JSON.stringify(labels)) } catch (e) {}
  move(1);
}
function save() {
  const text = "id,label\\n" + cards.filter(c => labels[c.id]).map(c => c.id + "," + labels[c.id]).join("\\n") + "\\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"})); link.download = "labels.csv"; link.click();
}
of("real").onclick = () => label("real"); of("bogus").onclick = () => label("bogus");
of("back").onclick = () => move(-1); of("next").onclick = () => move(1); of("save").onclick = save;
document.onkeydown = event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = {r: () => label("real"), b: () => label("bogus"), ArrowLeft: () => move(-1), ArrowRight: () => move(1)};
  const chosen = act[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (chosen) { event.preventDefault(); chosen() }
};
show();
</script></html>
"""
