"""Keys, origins, headers, health, metrics and the log."""

import ast
import json
import logging
import re
from pathlib import Path

import pytest
from serving import TEXT, running, soon

import unisono
from unisono.errors import InputError
from unisono.serve import Settings
from unisono.serve.guard import key_fits, known_path
from unisono.serve.hosts import host_fits
from unisono.serve.logs import JsonLines

KEY = "a-secret-key"


@pytest.fixture(scope="module")
def locked(tiny_model, tiny_folder):
    with running(Settings(api_keys=(KEY, "another-key")), (tiny_model, tiny_folder)) as server:
        yield server


@pytest.mark.parametrize("given", [None, "", "Bearer", "Bearer wrong", f"Basic {KEY}", f"Bearer {KEY}x", "Bearer é"])
@pytest.mark.parametrize("path", ["/v1/models", "/v1/audio/voices", "/metrics", "/openapi.json", "/v1/nothing"])
def test_without_a_key_nothing_is_told(locked, given, path):
    with locked.client() as client:
        answer = client.get(path, headers={} if given is None else {"Authorization": given.encode()})
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "invalid_api_key"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("key", [KEY, "another-key"])
def test_with_a_key_all_is_well(locked, key):
    with locked.client(headers={"Authorization": f"Bearer {key}"}) as client:
        assert client.get("/v1/models").status_code == 200
        assert locked.speak(client=client).status_code == 200


def test_health_is_open(locked):
    with locked.client() as client:
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}


def test_keys_are_compared_whole():
    assert key_fits("", ()) and key_fits(KEY, (KEY,)) and not key_fits(KEY[:-1], (KEY,)) and not key_fits("", (KEY,))


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1", "//["])
def test_pages_of_others_are_kept_out(server, client, origin):
    answer = client.post("/v1/audio/speech", json={"input": "Hi."}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/healthz", "/static/app.js", "/v1/models", "/v1/audio/speech"])
def test_a_page_that_rebinds_its_name_to_ours_is_kept_out(server, client, path):
    name = f"rebound.example:{server.port}"
    answer = client.request(
        "POST" if path.endswith("speech") else "GET", path, headers={"Host": name, "Origin": f"http://{name}"}
    )
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "foreign_host"


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8000", "voice.localhost:1", "127.0.0.1", "127.1.2.3:80", "[::1]:8000"]
)
def test_names_of_the_loopback_are_ours(client, host):
    assert client.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("host", "listens", "named", "fits"),
    [
        ("voice.example", "127.0.0.1", (), False),
        ("", "127.0.0.1", (), False),
        ("10.0.0.7:8000", "127.0.0.1", (), False),
        ("127.0.0.1.example", "127.0.0.1", (), False),
        ("localhost.example", "127.0.0.1", (), False),
        (None, "127.0.0.1", (), True),  # no browser
        ("Voice.Example:8000", "localhost", ("voice.example",), True),
        ("voice.example", "::1", ("*",), True),
        ("voice.example", "voice.example", (), True),
        ("voice.example", "0.0.0.0", (), True),
        ("foe.example", "0.0.0.0", ("voice.example",), False),
        ("10.0.0.7:8000", "0.0.0.0", ("voice.example",), True),
        ("[fe80::1]:8000", "::", ("voice.example",), True),
        ("localhost:8000", "0.0.0.0", ("voice.example",), True),
    ],
)
def test_which_hosts_fit(host, listens, named, fits):
    assert host_fits(host, listens, named) is fits


def test_hosts_that_were_named_are_let_in(tiny_model, tiny_folder):
    with running(Settings(hosts=("voice.example",)), (tiny_model, tiny_folder)) as server, server.client() as client:
        for host, status in (("voice.example", 200), ("foe.example", 421)):
            assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_our_own_page_is_let_in(server, client):
    assert client.get("/v1/models", headers={"Origin": server.url}).status_code == 200


def test_origins_that_were_named_are_let_in(tiny_model, tiny_folder):
    friend = "https://friend.example"
    with running(Settings(cors=(friend,)), (tiny_model, tiny_folder)) as server, server.client() as client:
        ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}
        answer = client.options("/v1/audio/speech", headers={"Origin": friend, **ask})
        assert answer.status_code == 200 and answer.headers["access-control-allow-origin"] == friend
        answer = client.get("/v1/models", headers={"Origin": friend})
        assert answer.headers["access-control-allow-origin"] == friend
        assert client.get("/v1/models", headers={"Origin": "https://foe.example"}).status_code == 403


def test_every_answer_has_a_name_and_closes_doors(client):
    for path in ("/v1/models", "/v1/nothing", "/healthz"):
        headers = client.get(path).headers
        assert re.fullmatch("[0-9a-f]{16}", headers["x-request-id"])
        assert headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in headers["content-security-policy"]
        assert "server" not in headers


def test_nothing_can_read_pickle():
    source = Path(unisono.__file__).parent
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"pickle", "marshal", "shelve", "dill", "joblib"}, path
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("torch.load", "np.load", "numpy.load"):
                words = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert words.get("weights_only") == "True" or words.get("allow_pickle") == "False", path


def test_metrics_count(server, client):
    def value(name):
        found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
        return float(found.group(1)) if found else 0.0

    names = (
        'unisono_requests_total{path="/v1/audio/speech",status="200"}',
        'unisono_requests_total{path="/v1/audio/speech",status="404"}',
        "unisono_audio_seconds_total",
        "unisono_time_to_first_audio_seconds_count",
        "unisono_rtf_count",
    )
    assert server.idle()
    before = [value(name) for name in names]
    assert server.speak().status_code == 200
    assert server.speak(voice="nobody").status_code == 404
    assert server.idle()
    assert soon(lambda: value(names[0]) > before[0] and value(names[1]) > before[1])  # counted after they are sent
    grown = [value(name) - old for name, old in zip(names, before, strict=True)]
    assert grown[0] == grown[1] == grown[3] == grown[4] == 1 and grown[2] > 0
    assert value("unisono_queue_depth") == value("unisono_active") == 0
    assert value("unisono_model_memory_bytes") > 0 and value("process_resident_memory_bytes") > 0


def test_names_that_clients_make_up_do_not_fill_the_metrics():
    assert known_path("/v1/audio/voices/abc") == "/v1/audio/voices/{id}"
    assert known_path("/wp-admin.php") == "other"


@pytest.fixture
def lines():
    """What the server logs, as its formatter writes it."""
    kept = []

    class Keep(logging.Handler):
        def emit(self, record):
            kept.append(JsonLines().format(record))

    logger, handler = logging.getLogger("unisono.serve"), Keep()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield kept
    logger.removeHandler(handler)
    logger.setLevel(level)


def test_the_log_does_not_hold_what_was_spoken(server, client, lines):
    secret = "Xylophone marmalade."
    server.speak(secret)
    server.speak(f"[rate:99]{secret}")
    server.speak(secret, voice="nobody")
    client.post("/v1/audio/speech/timestamps", json={"input": secret})
    client.post("/v1/audio/speech/batch", json={"items": [{"input": secret}, {"input": secret, "seed": "Xylophone"}]})
    client.post("/v1/audio/speech", json={"input": {"Xylophone": 1}})

    def told():
        """The line of the first request; a line is written after its answer is sent."""
        entries = [json.loads(line) for line in lines]
        spoken = [entry for entry in entries if entry.get("characters") == len(secret) and entry["status"] == 200]
        return spoken if sum(entry["event"] == "request" for entry in entries) >= 6 else []

    assert soon(told)
    assert "ylophone" not in "\n".join(lines)
    speech = told()[0]
    assert speech["complete"] is True and speech["audio_seconds"] > 0 and speech["first_audio"] >= 0


def test_the_log_holds_it_where_that_was_asked_for(tiny_model, tiny_folder, lines):
    with running(Settings(log_text=True), (tiny_model, tiny_folder)) as server:
        server.speak(TEXT)
    assert any(json.loads(line).get("text") == TEXT for line in lines)


def test_a_bug_shows_nothing_and_is_logged(server, client, lines, monkeypatch):
    def broken():
        raise ZeroDivisionError("Xylophone")

    monkeypatch.setattr(server.service.names, "listing", broken)
    answer = client.get("/v1/audio/voices")
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error" and "Xylophone" not in answer.text
    failures = [json.loads(line) for line in lines if json.loads(line)["event"] == "failure"]
    assert failures[0]["error"] == "ZeroDivisionError" and "Xylophone" not in "\n".join(lines)
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"port": 70_000},
        {"workers": 0},
        {"queue": 0},
        {"slots": 0},
        {"api_keys": ("short",)},
        {"api_keys": ("with blank",)},
        {"cors": ("friend.example",)},
        {"hosts": ("https://friend.example",)},
        {"hosts": ("friend.example:80",)},
    ],
)
def test_settings_that_cannot_be_served(fields):
    with pytest.raises(InputError):
        Settings(**fields)


def test_settings_travel_to_workers(monkeypatch):
    monkeypatch.setenv("UNISONO_SERVE", "")
    settings = Settings(port=9000, api_keys=(KEY,), hosts=("voice.example",), loading={"device": "cpu"})
    settings.to_environment()
    assert Settings.from_environment() == settings
