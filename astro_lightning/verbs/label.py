"""Label the objects that a run asks about."""

from pathlib import Path

from astro_lightning.data.errors import BadInput


def main(words: list[str]) -> None:
    """Label the objects that a run asks about, on a page in your browser: astro-lightning label RUN [PORT]."""
    if not 1 <= len(words) <= 2 or not all(word.isdecimal() for word in words[1:]):
        raise BadInput("label takes a run folder that waits for labels and, if you like, a port")
    from astro_lightning.methods.labelling.question import QUESTION, read_labels
    from astro_lightning.methods.labelling.serve import make_server

    run = Path(words[0]).expanduser()
    folder = run if (run / QUESTION).exists() else run / "to_label"
    if not folder.is_dir():
        raise BadInput(f"{run} waits for no labels: it has no folder to_label (task.loop.oracle=person makes one)")
    server = make_server(folder, int(words[1]) if len(words) > 1 else 0)
    print(f"http://127.0.0.1:{server.server_address[1]}/  (Ctrl-C when you are done)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    finally:
        server.server_close()
    print(f"\n{len(read_labels(folder))} labels: {folder / 'labels.csv'}")
    if folder != run:
        print(f"go on with: python -m astro_lightning resume={run}")
