"""The labelling page: one HTML file that works from disk without a network, or served, where it saves each answer at once."""

import base64
import json
from collections.abc import Iterable, Mapping
from html import escape
from typing import Any


def page(title: str, choices: Mapping[str, str], ids: list[str], cards: Iterable[Any]) -> str:
    """The page as text; see `question.write_question`."""
    shown = [
        {
            "id": identifier,
            "note": card.note,
            "pictures": {name: base64.b64encode(content).decode() for name, content in card.pictures.items()},
        }
        for identifier, card in zip(ids, cards, strict=True)
    ]
    # A script element ends at the first "</script", wherever it stands; behind "<!--" and "<script" it does not end there.
    content = json.dumps({"cards": shown, "choices": dict(choices)}).replace("<", "\\u003c")
    return PAGE.replace("@TITLE@", escape(title)).replace("@CONTENT@", content)


PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>@TITLE@</title>
<style>
 body { font: 16px system-ui, sans-serif; max-width: 64rem; margin: 1rem auto; padding: 0 1rem; background: #111; color: #eee }
 #pictures { display: flex; gap: .5rem; flex-wrap: wrap }
 figure { margin: 0; flex: 1 1 16rem } figure:has(.pixels) { flex-basis: 6rem }
 img { width: 100%; border: 1px solid #555 } .pixels { image-rendering: pixelated }
 button { font-size: 1.1rem; padding: .5rem 1.2rem; margin: .5rem .5rem 0 0 } button:focus { outline: 3px solid #fd0 }
 #choices { position: sticky; bottom: 0; padding-bottom: .5rem; background: #111 } .chosen { background: #fd0 }
 progress { width: 100%; color-scheme: dark } .failed { color: #f96 }
</style>
<h1>@TITLE@</h1>
<p id="help"></p>
<progress id="done" aria-label="labelled"></progress>
<p id="state" role="status"></p>
<div id="pictures"></div>
<div id="choices"></div>
<button id="back">&larr; Back</button><button id="next">Next &rarr;</button><button id="save">Save labels.csv</button>
<p id="saved" role="status"></p>
<script>
const {cards, choices} = @CONTENT@, key = "labels " + cards.map(c => c.id).join();
const served = location.protocol.startsWith("http"), of = id => document.getElementById(id);
let labels = {}, at = 0;
function add(parent, kind, properties) { return parent.appendChild(Object.assign(document.createElement(kind), properties)) }
function show() {
  const card = cards[at], n = Object.keys(labels).length;
  of("pictures").replaceChildren();
  for (const [name, data] of Object.entries(card.pictures)) {
    const figure = add(of("pictures"), "figure", {});
    const img = add(figure, "img", {alt: name, src: "data:image/png;base64," + data});
    img.onload = () => img.classList.toggle("pixels", img.naturalWidth < 250);
    add(figure, "figcaption", {textContent: name});
  }
  of("state").textContent = `${at + 1} of ${cards.length} - object ${card.id}${card.note && " - " + card.note} - ${n} labelled`;
  of("done").max = cards.length; of("done").value = n;
  for (const button of of("choices").children) {
    button.className = button.name === labels[card.id] ? "chosen" : "";
    button.setAttribute("aria-pressed", button.name === labels[card.id]);
  }
}
function move(step) { at = Math.min(cards.length - 1, Math.max(0, at + step)); show() }
function quoted(text) { return '"' + text.replaceAll('"', '""') + '"' }
function csv() {
  const given = cards.filter(c => labels[c.id]).map(c => quoted(c.id) + "," + quoted(labels[c.id]));
  return ["id,label", ...given, ""].join("\\n");
}
function say(text, failed) { of("saved").textContent = text; of("saved").className = failed ? "failed" : "" }
function done() { return Object.keys(labels).length === cards.length ? " All are labelled: you may close this page." : "" }
let waiting = Promise.resolve();
function keep() {
  if (!served) { try { localStorage.setItem(key, JSON.stringify(labels)) } catch (e) {} return }
  const text = csv(), note = done();
  waiting = waiting.then(() => fetch("labels.csv", {method: "POST", body: text, headers: {"Content-Type": "text/csv"}}))
    .then(async answer => say(answer.ok ? "Saved." + note : "Not saved: " + await answer.text(), !answer.ok))
    .catch(() => say("Not saved: the server has stopped. Start it again, or press Save.", true));
}
function label(name) { labels[cards[at].id] = name; keep(); move(1) }
function save() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([csv()], {type: "text/csv"})); link.download = "labels.csv"; link.click();
  say("Put labels.csv beside this page." + done());
}
const act = {ArrowLeft: () => move(-1), ArrowRight: () => move(1)};
for (const [name, k] of Object.entries(choices)) {
  act[k.toLowerCase()] = () => label(name);
  add(of("choices"), "button", {name, textContent: `${name} (${k.toUpperCase()})`, onclick: () => label(name)});
}
of("help").textContent = "Keys: " + Object.entries(choices).map(([name, k]) => `${k.toUpperCase()} ${name}`).join(", ") +
  ", arrows to move. " + (served ? "Each answer is saved at once." : "Answers are kept in this browser until you save them.");
of("back").onclick = () => move(-1); of("next").onclick = () => move(1); of("save").onclick = save;
document.onkeydown = event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const chosen = act[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (chosen) { event.preventDefault(); chosen() }
};
function begin(found) {
  for (const card of cards) if (choices[found[card.id]]) labels[card.id] = found[card.id];
  at = Math.max(0, cards.findIndex(c => !labels[c.id])); show();
}
if (served) fetch("labels.json").then(answer => answer.json()).then(begin).catch(() => begin({}));
else { let kept = {}; try { kept = JSON.parse(localStorage.getItem(key) || "{}") } catch (e) {} begin(kept) }
</script></html>
"""
