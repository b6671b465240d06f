"""A person labels objects on a page of pictures; any task can ask, in a run or beside one.

    question = Question("Real or bogus?", {"real": "r", "bogus": "b", "unsure": "u"})
    labels = ask(question, candidates, cards, run_folder / "to_label")

`candidates` is a table with `id`, `cards` a function that draws a `Card(note, {"name of a picture": png(figure or array)})`
for each of its rows. The first call writes `index.html` and raises `LabelsWanted`, which ends a run cleanly; once every
object has a label in `labels.csv` the same call returns id -> label, and `resume=RUN` goes on. Without a run to resume,
call `write_question` and later `read_labels`. `astro-lightning label FOLDER` serves the page and saves each answer at once;
opened from disk the page keeps answers in the browser and saves `labels.csv` by a button.
"""
