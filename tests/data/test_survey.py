import pyarrow as pa
import pytest

from astro_lightning.core.datamodule import RecordsData, files_of
from astro_lightning.data.errors import BadInput
from astro_lightning.data.survey import Survey, joined, visible
from astro_lightning.data.surveys.spcc import Spcc


class Stars(Survey):
    """One line of labels per file, comma separated, an empty one unlabelled."""

    layout = "*.stars"

    def find(self, path):
        return sorted(path.glob("*.stars")) if path.is_dir() else [path]

    def chunks(self, source):
        labels = pa.chunked_array([[name or None for name in source.read_text().split(",")]], pa.string())
        yield pa.table({"id": list(range(len(labels))), "label": self.class_names(labels, source.name)})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "a.stars").write_text("SN Ia,,SN Iax[02cx-like]")
    (tmp_path / "b.stars").write_text(",AGN")
    return tmp_path


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("all", ["SN Ia", None, "SN Iax[02cx-like]", None, "AGN"]),
        ("labelled", ["SN Ia", "SN Iax[02cx-like]", "AGN"]),
        ("unlabelled", [None, None]),
    ],
)
def test_parts(folder, part, expected):
    chunks = list(Stars().read(folder, part))
    assert [label for chunk in chunks for label in chunk["label"].to_pylist()] == expected


def test_small_tables_come_joined_within_bounds_and_large_ones_as_they_are():
    sizes = [1] * 1000 + [700, 300, 1]
    tables = [pa.table({"id": [i] * n}) for i, n in enumerate(sizes)]
    found = list(joined(tables, 10**6))
    assert [len(table) for table in found] == [512, 488, 700, 301]
    assert pa.concat_tables(found).equals(pa.concat_tables(tables))
    assert [len(table) for table in joined(tables[:10], 24)] == [3, 3, 3, 1]
    named = [pa.table({"id": [0]}), pa.table({"id": ["a"]}), pa.table({"id": ["b"]})]
    assert [table["id"].to_pylist() for table in joined(named, 10**6)] == [[0], ["a", "b"]]


def test_a_table_is_handed_on_before_the_next_one_is_read():
    large = (pa.table({"id": list(range(600))}) if i < 1 else pytest.fail("read ahead") for i in range(2))
    assert len(next(joined(large, 10**6))) == 600


def test_classes_are_tried_in_order_and_may_drop_a_label(folder):
    survey = Stars(classes={"SN Iax*": None, "SN Ia*": "Ia", "AGN": "active"})
    labels = pa.concat_tables(survey.read(folder))["label"].to_pylist()
    assert labels == ["Ia", None, None, None, "active"]


def test_label_with_pattern_characters_matches_itself(folder):
    survey = Stars(classes={"SN Iax[02cx-like]": "Iax", "*": "rest"})
    assert pa.concat_tables(survey.read(folder))["label"].to_pylist() == ["rest", None, "Iax", None, "rest"]


def test_label_without_class_is_named(folder):
    with pytest.raises(BadInput, match=r"b.stars: label 'AGN' has no class: add it to classes \(now SN\*\)"):
        list(Stars(classes={"SN*": "SN"}).read(folder))


def test_bad_calls_say_what_was_looked_for(folder, tmp_path_factory):
    with pytest.raises(BadInput, match="part='test' is unknown: give one of labelled, unlabelled, all"):
        Stars().read(folder, "test")
    with pytest.raises(BadInput, match=r"does not exist: give \*.stars"):
        Stars().read(folder / "absent")
    with pytest.raises(BadInput, match=r"holds no data of Stars: looked for \*.stars"):
        Stars().read(tmp_path_factory.mktemp("empty"))
    with pytest.raises(BadInput, match="memory_gib=0"):
        Stars(memory_gib=0)


def test_a_survey_without_one_labelled_object_is_named(tmp_path):
    (tmp_path / "lightcurves.csv").write_text("object_id,mjd,passband,flux,flux_err\n1,58000,1,2,1\n")
    reader = {"_target_": "astro_lightning.data.surveys.plasticc.Plasticc"}
    data = {"name": "plasticc", "root": str(tmp_path), "reader": reader, "memory_gib": 1}
    with pytest.raises(BadInput, match=f"{tmp_path} holds no labelled object"):
        RecordsData(data=data, cache=str(tmp_path / "cache")).prepare_data()


def test_records_without_label_column_are_unlabelled(folder):
    class Plain(Stars):
        def chunks(self, source):
            yield pa.table({"id": [1]})

    assert sum(map(len, Plain().read(folder, "unlabelled"))) == 2
    assert not list(Plain().read(folder, "labelled"))


READER = """
import pyarrow as pa
from astro_lightning.data.survey import Survey, visible

class Own(Survey):
    layout = "*.own"

    def find(self, path):
        return [path / "a.own"]

    def chunks(self, source):
        yield pa.table({"id": [1, 2], "label": ["A", "B"], "value": [VALUE, VALUE]})
"""


def test_records_are_read_anew_by_an_edited_reader(tmp_path, monkeypatch):
    (tmp_path / "a.own").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    reader = {"_target_": "reader_that_is_edited.Own"}
    data = {"name": "own", "root": str(tmp_path), "reader": reader, "memory_gib": 1}
    folders = []
    for value in (1.0, 2.0):
        (tmp_path / "reader_that_is_edited.py").write_text(READER.replace("VALUE", str(value)))
        folders.append(RecordsData(data=data, cache=str(tmp_path / "cache")).records_folder())
    assert folders[0] != folders[1]


def test_types_may_be_numbers_and_patterns_in_one_mapping(tmp_path):
    reader = {"_target_": "astro_lightning.data.surveys.snana.Snana", "classes": {101: "Ia", "2?": "II"}}
    data = {"name": "own", "root": str(tmp_path), "reader": reader, "memory_gib": 1}
    assert RecordsData(data=data, cache=str(tmp_path)).records_folder().parent == tmp_path / "records"


def test_to_be_scored_a_label_without_class_is_not_known(folder, caplog):
    survey = Stars(classes={"SN*": "SN"})
    survey.scoring = True
    assert pa.concat_tables(survey.read(folder))["label"].to_pylist() == ["SN", None, "SN", None, None]
    assert "b.stars: label 'AGN' has no class, taken as not known" in caplog.text


def test_a_folder_of_the_name_of_a_file_is_named(tmp_path):
    (tmp_path / "lightcurves.parquet").mkdir()
    with pytest.raises(BadInput, match=r"lightcurves.parquet is a folder: give it as one file"):
        Spcc().read(tmp_path)


def test_linked_folders_are_read_once_and_hidden_ones_not(tmp_path):
    survey, elsewhere = tmp_path / "survey", tmp_path / "elsewhere"
    for place in (survey / "night1", survey / ".copying", elsewhere / "deep"):
        place.mkdir(parents=True)
        (place / "a.fits").write_text("")
    (survey / "night2").symlink_to(elsewhere)
    (survey / "night3").symlink_to(elsewhere)
    (elsewhere / "deep" / "up").symlink_to(survey)
    found = [str(file.relative_to(survey)) for file in visible(survey, "**/*.fits")]
    assert found == ["night1/a.fits", "night2/deep/a.fits"]
    assert visible(survey, "*.fits") == []
    assert [name for name, *_ in files_of(survey)] == [str(survey / name) for name in found]
