"""What a training is told: values are checked, TOML goes both ways."""

import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minisegnet.training.settings import Settings, as_toml, read_toml


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"steps": 0}, "steps is 0; expected a whole number of at least 1"),
        ({"steps": 1.5}, "steps is 1.5"),
        ({"steps": True}, "steps is True"),
        ({"batch": None}, "batch is None"),
        ({"lr": math.nan}, "lr is nan"),
        ({"lr": 0}, "lr is 0; expected a number above 0"),
        ({"epochs": -1}, "epochs is -1"),
        ({"crop": (64,)}, "crop is (64,)"),
        ({"crop": (64, 0)}, "crop is (64, 0)"),
        ({"optimizer": "adm"}, "did you mean 'adam'?"),
        ({"schedule": "cosin"}, "did you mean 'cosine'?"),
        ({"weights": "median"}, "weights is 'median'"),
        ({"sampling": "class"}, "did you mean 'classes'"),
        ({"holdout": 1.0}, "holdout is 1.0"),
        ({"options": "padding=valid"}, "expected a table"),
        ({"steps": 1, "epochs": 1}, "steps and epochs were given"),
        ({"stps": 1}, "did you mean 'steps'?"),
    ],
)  # fmt: skip
def test_bad_values_are_named(values, told):
    with pytest.raises(ValueError, match=None) as error:
        Settings.of(values)
    assert told in str(error.value)


def test_clipping_can_be_switched_off_and_one_number_is_a_square():
    settings = Settings.of({"clip": 0, "crop": 64, "size": [48, 96]})
    assert (settings.clip, settings.crop, settings.size) == (0.0, (64, 64), (48, 96))


def test_settings_come_back_from_toml(tmp_path):
    settings = Settings(
        data='my "folder"\\ä',
        steps=7,
        lr=1e-3,
        crop=(64, 96),
        options={"padding": "valid", "dropout": 0.5},
        patience=3,
    )
    path = tmp_path / "settings.toml"
    path.write_text(as_toml(settings.as_dict()), encoding="utf-8")
    assert Settings.of(read_toml(path)) == settings


plain = st.one_of(st.text(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(allow_nan=False))
flat = st.dictionaries(st.text(), st.one_of(plain, st.lists(plain, max_size=3)), max_size=5)


@given(flat, st.dictionaries(st.text(), flat, max_size=2))
def test_toml_means_the_same_to_another_reader(values, tables):
    document = {**values, **{f"table {name}": table for name, table in tables.items() if table}}
    assert tomllib.loads(as_toml(document)) == document


def test_a_file_that_is_not_toml_is_named(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text("steps 7")
    with pytest.raises(ValueError, match=r"a\.toml is not a TOML file: .*line 1"):
        read_toml(path)
