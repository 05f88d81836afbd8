from __future__ import annotations

import json

import pytest

from archon_ops.model.masking import MASK, Mask, secrets_of


def _secrets(guess: bool = True, **variables: str) -> set[str]:
    return set(secrets_of(variables, guess=guess))


def test_a_secret_is_told_by_its_name_or_by_how_it_looks() -> None:
    assert "hunter" in _secrets(POSTGRES_PASSWORD="hunter")
    assert "abcd1234efgh" in _secrets(OPENAI="abcd1234efgh")
    assert not _secrets(guess=False, OPENAI="abcd1234efgh")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PATH", "/usr/bin:/opt/x1"),
        ("PWD", "/home/user/archon1"),
        ("PG_VERSION", "17.5-1.pgdg120+1"),
        ("LANG", "en_US.utf8"),
        ("PORT", "8181"),
        ("SSH_AUTH_SOCK", "/tmp/ssh-1/agent"),  # noqa: S108 - a value, not a file
        ("URL", "http://localhost:8181/v1"),
    ],
)
def test_what_is_no_secret_stays(name: str, value: str) -> None:
    assert not _secrets(**{name: value})


def test_a_password_inside_of_an_address_is_a_secret_as_written_and_as_meant() -> None:
    assert {"p%40ss", "p@ss"} <= _secrets(guess=False, DATABASE="postgresql://u:p%40ss@db/x")


def test_known_secrets_go_wherever_they_stand() -> None:
    mask = Mask(["canary-one-two-three", "short"])
    document = {"a": ["x canary-one-two-three y"], "canary-one-two-three": {"b": "(short)"}, "n": 1}
    assert mask.document(document) == {"a": [f"x {MASK} y"], MASK: {"b": f"({MASK})"}, "n": 1}


def test_a_short_secret_does_not_tear_words_apart() -> None:
    assert Mask(["pass"]).text("it passed: pass") == f"it passed: {MASK}"


def test_what_everybody_knows_is_no_secret() -> None:
    assert Mask(["postgres", "", "abc"]).text("postgres abc") == "postgres abc"


def test_the_longer_of_two_secrets_goes_whole() -> None:
    assert (
        Mask(["secret-part-one", "secret-part-one-and-two"]).text("secret-part-one-and-two") == MASK
    )


def test_lines_of_a_key_are_secrets_too() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\n-----END KEY-----"
    assert "MIIEvQ" not in Mask(_secrets(TLS_KEY=key)).text("it read MIIEvQIBADANBg there")


@pytest.mark.parametrize(
    "text",
    [
        "cannot connect: postgresql://archon:CANARY1@db:5432/x",
        "cannot connect: postgresql://archon:CANARY1@ss@db:5432/x",
        "host=db password=CANARY1 user=x",
        "host=db password='CANARY1 CANARY1' user=x",
        "SUPABASE_SERVICE_KEY=CANARY1",
        '{"api_key": "CANARY1"}',
        "Authorization: Bearer CANARY1CANARY1",
        "eyJhbGciOiJCANARY1.eyJyb2xlIjoi.CANARY1",
        "sk-CANARY1CANARY1",
    ],
)
def test_what_looks_like_a_secret_goes_though_nobody_knew_it(text: str) -> None:
    assert "CANARY1" not in Mask([]).text(text)


def test_a_field_named_like_a_secret_tells_nothing() -> None:
    document = {"password": "CANARY", "details": {"access_token": ["CANARY"]}, "secret": None}
    masked = Mask([]).document(document)
    assert "CANARY" not in json.dumps(masked)
    assert masked["secret"] is None


def test_ordinary_text_is_left_alone() -> None:
    text = "key.present: ENCRYPTION_KEY is set; see https://example.org/a?b and /var/lib/x"
    assert Mask([]).text(text) == text
