import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from threading import Thread

import numpy as np
import pyarrow as pa
import pytest

from astro_lightning.data.errors import BadInput
from astro_lightning.methods.labelling.question import (
    Card,
    LabelsWanted,
    Question,
    ask,
    parse_labels,
    png,
    read_labels,
    write_question,
)
from astro_lightning.methods.labelling.serve import make_server

ROWS = ("4", "new_real,zg:2", 'a "9"')
STRANGE = "<!--<script>"  # in this state of a script a browser passes over its end
QUESTION = Question("Star & <b>planet</b>?", {"star": "s", "planet": "p", "</script>": "x"})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    cards = [Card("<i>note</i>", {"science": png(np.eye(8) * i)}) for i in range(3)]
    write_question(QUESTION, pa.table({"id": ROWS}), cards, tmp_path / "to_label")
    return tmp_path / "to_label"


@pytest.fixture
def address(folder: Path):
    server = subprocess.Popen(
        [sys.executable, "-m", "astro_lightning", "label", str(folder.parent)], stdout=subprocess.PIPE, text=True
    )
    yield server.stdout.readline().split()[0]
    server.terminate()
    server.wait(30)


def sent(url: str, body: str | None = None, **headers: str) -> tuple[int, str]:
    request = urllib.request.Request(url, None if body is None else body.encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_who_asks_is_told_what_is_missing_and_then_gets_the_labels(tmp_path):
    candidates, drawn = pa.table({"id": [4, 2]}), []

    def cards() -> list[Card]:
        drawn.append(1)
        return [Card("", {"image": png(np.eye(4))})] * 2

    folder = tmp_path / "run" / "to_label"
    with pytest.raises(LabelsWanted, match=f"2 of 2 .* resume={tmp_path / 'run'}"):
        ask(QUESTION, candidates, cards, folder)
    (folder / "labels.csv").write_text("id,label\n2,star\n4,planet\n")
    assert ask(QUESTION, candidates, cards, folder) == {4: "planet", 2: "star"} and len(drawn) == 1


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("id,label\n4,maybe\n", "maybe"),
        ("id,label\n5,star\n", "nobody asked"),
        ("id\n4\n", "columns"),
        ("", "not a CSV"),
    ],
)
def test_a_labels_file_that_cannot_be_used_is_named(folder, text, wrong):
    (folder / "labels.csv").write_text(text)
    with pytest.raises(BadInput, match=wrong):
        read_labels(folder)


def test_the_server_keeps_what_the_page_sends_and_refuses_strangers(folder, address):
    assert "Star &amp; &lt;b&gt;planet" in sent(address)[1]
    good = 'id,label\n"new_real,zg:2","star"\n'
    assert sent(address + "labels.csv", good) == (200, "saved")
    assert read_labels(folder) == {"new_real,zg:2": "star"} == json.loads(sent(address + "labels.json")[1])
    assert sent(address + "labels.csv", "id,label\n7,star\n")[0] == 400
    assert sent(address + "labels.csv", good, Origin="http://elsewhere.org")[0] == 403
    assert sent(address, Host="elsewhere.org")[0] == 403
    assert sent(address + "../question.json")[0] == 404
    assert read_labels(folder) == {"new_real,zg:2": "star"}


def test_an_answer_that_cannot_be_written_is_told_to_the_page(folder, address):
    sent(address)
    (folder / "labels.csv").mkdir()  # as a full disk, nothing can be written there
    status, said = sent(address + "labels.csv", "id,label\n4,star\n")
    assert status == 500 and "labels.csv" in said and "not full" in said


def test_what_is_no_request_of_the_page_is_answered_and_leaves_the_terminal_alone(folder, capfd):
    server = make_server(folder)
    Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    host, port = server.server_address
    for length in ("abc", "-1"):
        with socket.create_connection((host, port), timeout=10) as client:
            head = f"POST /labels.csv HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n\r\n"
            client.sendall(head.encode())
            assert b" 404 " in client.recv(100)
    (folder / "labels.csv").write_text("id,label\n4,maybe\n")
    assert sent(f"http://{host}:{port}/labels.json") == (
        500,
        f"{folder}/labels.csv: label 'maybe' of 4 is none of star, planet, </script>",
    )
    server.shutdown()
    server.server_close()
    assert not capfd.readouterr().err


def test_no_text_of_a_survey_is_markup_on_the_page(tmp_path):
    write_question(QUESTION, pa.table({"id": [STRANGE]}), [Card(STRANGE, {STRANGE: png(np.eye(8))})], tmp_path)
    content = (tmp_path / "index.html").read_text().partition("const {cards, choices} = ")[2].partition(", key = ")[0]
    assert "<" not in content and json.loads(content)["cards"][0]["id"] == STRANGE


def test_another_tab_and_a_second_row_take_no_answer_away(folder, address):
    assert sent(address + "labels.csv", "id,label\n4,star\n")[0] == 200
    assert sent(address + "labels.csv", 'id,label\n"a ""9""",planet\n')[0] == 200
    assert read_labels(folder) == {"4": "star", 'a "9"': "planet"}
    with pytest.raises(BadInput, match="4 is called star and planet"):
        parse_labels("id,label\n4,star\n4,planet\n", folder)


def test_labels_of_another_encoding_are_said_to_be_so(folder):
    (folder / "labels.csv").write_bytes("id,label,note\n4,star,é\n".encode("latin-1"))
    with pytest.raises(BadInput, match="not UTF-8"):
        read_labels(folder)
    (folder / "labels.csv").write_text("id,label\n4,star\n", encoding="utf-8-sig")
    assert read_labels(folder) == {"4": "star"}


@pytest.mark.parametrize("name", ["question.json", "candidates.parquet"])
def test_a_damaged_question_is_named(folder, name):
    (folder / name).write_text("{")
    (folder / "labels.csv").write_text("id,label\n4,star\n")
    with pytest.raises(BadInput, match=rf"{name}.* cannot be read"):
        read_labels(folder)


def test_an_object_that_stands_twice_among_the_candidates_is_asked_for_once(tmp_path):
    folder = tmp_path / "to_label"
    twice = pa.table({"id": ["4", "4"]})
    write_question(QUESTION, twice, [Card("", {"science": png(np.eye(8))})] * 2, folder)
    (folder / "labels.csv").write_text("id,label\n4,star\n")
    assert ask(QUESTION, twice, list, folder) == {"4": "star"}


class Browser:
    """Chromium with real key presses, by the WebDriver protocol."""

    def __init__(self, downloads: Path) -> None:
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True)
        line = next(line for line in self.driver.stdout if "started successfully on port" in line)
        self.session = f"http://127.0.0.1:{line.rstrip().rstrip('.').split()[-1]}/session"
        arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            f"--user-data-dir={downloads}/profile",
        ]
        options = {"args": arguments, "prefs": {"download.default_directory": str(downloads)}}
        made = self.call("", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}})
        self.session += f"/{made['sessionId']}"

    def call(self, path: str, body: dict) -> dict:
        status, text = sent(self.session + path, json.dumps(body))
        assert status == 200, text
        return json.loads(text)["value"]

    def press(self, *keys: str) -> None:
        pressed = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self.call("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": pressed}]})

    def text(self, name: str) -> str:
        return self.call(
            "/execute/sync", {"script": f"return document.getElementById('{name}').textContent", "args": []}
        )

    def close(self) -> None:
        self.driver.terminate()
        self.driver.wait(30)


@pytest.fixture
def browser(tmp_path):
    if not (shutil.which("chromedriver") and (shutil.which("chromium") or shutil.which("google-chrome"))):
        pytest.skip("no Chromium with its chromedriver to press keys on the labelling page")
    opened = Browser(tmp_path / "downloads")
    yield opened
    opened.call("/url", {"url": "about:blank"})
    urllib.request.urlopen(urllib.request.Request(opened.session, method="DELETE"), timeout=30)
    opened.close()


def until(found, seconds: float = 30):
    end = time.monotonic() + seconds
    while not found() and time.monotonic() < end:
        time.sleep(0.05)
    return found()


LEFT, RIGHT, ENTER = "\ue012", "\ue014", "\ue007"


def test_keys_label_on_the_served_page_and_each_answer_is_saved(folder, address, browser):
    browser.call("/url", {"url": address})
    assert until(lambda: "1 of 3" in browser.text("state")) and "<i>note</i>" in browser.text("state")
    browser.press("s", "P", LEFT, "s", "x")  # the second answer is taken back and given anew
    assert until(lambda: "All are labelled" in browser.text("saved"))
    assert read_labels(folder) == dict(zip(ROWS, ("star", "star", "</script>")))
    browser.call("/refresh", {})
    assert until(lambda: "3 labelled" in browser.text("state"))


def test_keys_label_on_the_page_from_disk_and_a_button_saves(folder, browser, tmp_path):
    browser.call("/url", {"url": (folder / "index.html").as_uri()})
    assert until(lambda: "1 of 3" in browser.text("state"))
    # A button takes Enter like any other; then an object is left out, and the last one gets its key.
    (button,) = browser.call("/element", {"using": "css selector", "value": "[name=planet]"}).values()
    browser.call(f"/element/{button}/value", {"text": ENTER})
    browser.press(RIGHT, "s")
    assert "2 labelled" in browser.text("state")
    # The browser keeps a page's memory in another process, a moment later: a busy machine is given more than one.
    for seconds in (1, 5, 10):
        time.sleep(seconds)
        browser.call("/refresh", {})
        if kept := until(lambda: "2 of 3" in browser.text("state") and "2 labelled" in browser.text("state"), 5):
            break
    assert kept
    browser.call("/execute/sync", {"script": "document.getElementById('save').click()", "args": []})
    saved = tmp_path / "downloads" / "labels.csv"
    assert until(saved.exists)
    saved.replace(folder / "labels.csv")
    assert read_labels(folder) == {ROWS[0]: "planet", ROWS[2]: "star"}
