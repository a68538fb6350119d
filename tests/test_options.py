"""Flags, TOML file and defaults: who wins, and what is told of a mistake."""

import argparse

import pytest

from minisegnet.cli import options


def parsed(words, extra=()):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    options.add(parser, options.OPTIONS)
    return options.told(parser.parse_args(words), extra)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('steps = 5\nlr = 0.5\nevaluate-every = 2\ntime = "5m"\n[options]\npadding = "valid"\n')
    told = parsed(["--config", str(file), "--lr", "0.1"])
    assert told == {
        "steps": 5, "lr": 0.1, "evaluate_every": 2, "time": 300.0, "options": {"padding": "valid"}
    }  # fmt: skip
    settings = options.settings_of({"steps": 5, "lr": 0.1}, {"lr": 1.0, "batch": 3, "epochs": 4.0})
    assert (settings.steps, settings.epochs, settings.lr, settings.batch) == (5, None, 0.1, 3)


def test_every_flag_is_a_setting_or_known_not_to_be():
    from minisegnet.training.settings import KINDS

    renamed = {"option": "options", "time": "seconds"}
    for name in options.OPTIONS:
        key = renamed.get(name, name.replace("-", "_"))
        assert key in KINDS or key in options.NOT_SETTINGS


def test_model_options_are_read_as_what_they_look_like():
    told = parsed(["--option", "dropout=0.5", "--option", "norm=none", "--option", "padding=valid"])
    assert told == {"options": {"dropout": 0.5, "norm": None, "padding": "valid"}}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--steps", "-3"], "'-3' is not a whole number"),
        (["--steps", "3.5"], "'3.5' is not a whole number"),
        (["--lr", "fast"], "'fast' is not a number"),
        (["--lr", "nan"], "'nan' is not a number"),
        (["--crop", "12by3"], "is not a size; expected one such as 96, or 96x128"),
        (["--time", "soon"], "is not a time; expected one such as 90s, 5m or 1h"),
        (["--time", "0s"], "is not a time"),
        (["--option", "padding"], "expected KEY=VALUE"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_a_wrong_call(words, told, capsys):
    with pytest.raises(SystemExit) as end:
        parsed(words)
    assert end.value.code == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stps = 3", "there is no option 'stps' here; did you mean 'steps'?"),
        ('time = "soon"', "time: 'soon' is not a time"),
        ("json = 1", "json is 1; expected true or false"),
    ],
)
def test_a_wrong_line_in_the_file_is_named(text, told, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=None) as error:
        parsed(["--config", str(file)])
    assert told in str(error.value)
    assert "a.toml" in str(error.value)
