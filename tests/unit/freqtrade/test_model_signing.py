"""The key of model artifacts: made once, whole, for its owner only; it tells a changed text from another key."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from streams.errors import SettingsError
from workers.errors import BadRequest, DataMissing
from workers.freqtrade.freqai.signing import SigningKey, read_key, read_or_make_key
from workers.freqtrade.settings import FreqAISettings

KEY = SigningKey(b"k" * 32)


def test_signature_of_the_text_passes() -> None:
    KEY.check(b"text", KEY.sign(b"text") + "\n", KEY.name)


@pytest.mark.parametrize("signature", ["", "0" * 64, "\u00e9", KEY.sign(b"text").upper()])
def test_any_other_signature_is_refused(signature: str) -> None:
    with pytest.raises(BadRequest, match="was changed after it was signed"):
        KEY.check(b"text", signature, KEY.name)


def test_changed_text_is_refused() -> None:
    with pytest.raises(BadRequest, match="was changed after it was signed"):
        KEY.check(b"text!", KEY.sign(b"text"), KEY.name)


def test_another_key_is_told_apart() -> None:
    other = SigningKey(b"o" * 32)
    with pytest.raises(BadRequest, match="signed with another key"):
        KEY.check(b"text", other.sign(b"text"), other.name)
    assert KEY.name != other.name
    assert b"k" * 32 not in KEY.name.encode()


def test_key_is_made_once_by_several_at_a_time(tmp_path: Path) -> None:
    file = tmp_path / "user_data" / "model_signing.key"
    names: list[str] = []
    makers = [threading.Thread(target=lambda: names.append(read_or_make_key(file, make=True).name)) for _ in range(8)]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join()
    assert len(names) == 8
    assert len(set(names)) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_key_that_is_named_is_never_made(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="MODEL_SIGNING_KEY_FILE: no such file"):
        read_or_make_key(tmp_path / "key", make=False)


def test_short_key_is_refused_without_its_text(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("S3CRET\n")
    with pytest.raises(SettingsError, match="holds 6 characters") as raised:
        read_key(tmp_path / "key")
    assert "S3CRET" not in str(raised.value)


def test_settings_say_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FREQTRADE_USER_DATA", str(tmp_path))
    monkeypatch.delenv("MODEL_SIGNING_KEY_FILE", raising=False)
    assert FreqAISettings.load().signing_key == tmp_path / "model_signing.key"
    monkeypatch.setenv("MODEL_SIGNING_KEY_FILE", str(tmp_path / "elsewhere"))
    settings = FreqAISettings.load()
    assert settings.signing_key == tmp_path / "elsewhere"
    assert any("MODEL_SIGNING_KEY_FILE: no such file" in problem for problem in settings.problems())
