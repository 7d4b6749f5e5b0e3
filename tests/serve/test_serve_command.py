"""`unisono serve`: what it refuses, in one sentence and with exit code 2, before anything is served."""

import socket

import pytest

from unisono.cli import main


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["--port", "70000"], "port is 70000"),
        (["--workers", "0"], "workers is 0"),
        (["--api-key", "short"], "an API key has at least 8"),
        (["--cors", "friend.example"], "is no origin"),
        (["--allow-host", "https://friend.example"], "is no host"),
        (["--model", "no/such-model-at-all"], "no/such-model-at-all"),
        (["--ray", "--replicas", "0"], ""),
    ],
)
def test_what_cannot_be_served(arguments, wanted, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert main(["serve", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("unisono: ") and error.count("\n") == 1 and wanted in error


def test_keys_may_come_from_the_environment(capsys, monkeypatch):
    monkeypatch.setenv("UNISONO_API_KEY", "long-enough-key,short")
    assert main(["serve"]) == 2
    assert "an API key" in capsys.readouterr().err


def test_a_port_that_is_taken(tiny_folder, capfd):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--port", port, "--model", str(tiny_folder), "--device", "cpu"]) == 2
    assert "is the port taken?" in capfd.readouterr().err.splitlines()[-1]
