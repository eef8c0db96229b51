"""Who is answered: the token, the server's names, and pages of other sites."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest
from flask import Blueprint, Flask, jsonify
from flask.testing import FlaskClient
from flask_wtf.csrf import generate_csrf
from jinja2 import DictLoader

from model.errors import CaptionerError
from streamer.web.access import HEADERS, guard, is_loopback, open_access

PAGE = {"Accept": "text/html"}


def application(folder: Path, host: str = "127.0.0.1", names: tuple[str, ...] = ()) -> Flask:
    folder.mkdir(mode=0o700, exist_ok=True)
    access, token = open_access(folder, host, names)
    app = Flask("guarded")
    app.jinja_loader = DictLoader({"login.html": "{{ error }}|{{ csrf_token() }}"})
    app.config["TOKEN"] = token
    guard(app, access)
    pages = Blueprint("pages", __name__)
    pages.add_url_rule("/", "live", lambda: generate_csrf())
    app.register_blueprint(pages)
    app.add_url_rule("/api/thing", "thing", lambda: "done", methods=["GET", "POST"])
    app.register_error_handler(
        CaptionerError, lambda error: (jsonify(error=str(error)), getattr(error, "status", 500))
    )
    return app


@pytest.fixture
def client(tmp_path: Path) -> FlaskClient:
    """Of a server that only this machine reaches."""
    return application(tmp_path / "data").test_client()


@pytest.fixture
def guarded(tmp_path: Path) -> FlaskClient:
    """Of a server that others reach too."""
    return application(tmp_path / "data", "0.0.0.0").test_client()


def token_of(client: FlaskClient) -> str:
    token = client.application.config["TOKEN"]
    assert len(token) >= 32
    return str(token)


@pytest.mark.parametrize(
    ("host", "near"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("jetson.local", False),
    ],
)
def test_only_this_machine_is_near(host: str, near: bool) -> None:
    assert is_loopback(host) == near


def test_this_machine_needs_no_token(client: FlaskClient) -> None:
    assert client.get("/", headers=PAGE).status_code == 200
    assert client.get("/api/thing").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:5000", "127.0.0.1.evil.example", ""]
)
def test_a_name_that_is_not_the_servers_is_refused(client: FlaskClient, host: str) -> None:
    answer = client.get("/api/thing", headers={"Host": host})
    assert answer.status_code == 403 or (host == "" and answer.status_code == 200)
    if answer.status_code == 403:
        assert "web.names" in answer.json["error"]


@pytest.mark.parametrize("host", ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000"])
def test_the_servers_own_names_are_answered(client: FlaskClient, host: str) -> None:
    assert client.get("/api/thing", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:9999"},
        {"Origin": "http://localhost.evil.example"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_page_of_another_site_changes_nothing(
    client: FlaskClient, headers: dict[str, str]
) -> None:
    answer = client.post("/api/thing", headers=headers)
    assert answer.status_code == 403
    assert "another site" in answer.json["error"]


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://localhost:1"])
def test_a_page_of_another_site_opens_no_websocket(client: FlaskClient, origin: str) -> None:
    headers = {"Origin": origin, "Upgrade": "WebSocket", "Connection": "Upgrade"}
    assert client.get("/api/thing", headers=headers).status_code == 403


def test_a_program_on_this_machine_may_post(client: FlaskClient) -> None:
    assert client.post("/api/thing").status_code == 200


def test_a_browser_needs_the_token_of_the_servers_pages(client: FlaskClient) -> None:
    page = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/thing", headers=page).status_code == 403
    carried = client.get("/", headers=PAGE).text
    assert client.post("/api/thing", headers=page | {"X-CSRFToken": carried}).status_code == 200
    wrong = carried[:-2] + ("aa" if carried[-2:] != "aa" else "bb")
    assert client.post("/api/thing", headers=page | {"X-CSRFToken": wrong}).status_code == 403


def test_the_token_of_one_browser_does_not_serve_another(tmp_path: Path) -> None:
    app = application(tmp_path / "data")
    carried = app.test_client().get("/", headers=PAGE).text
    other = app.test_client()
    other.get("/", headers=PAGE)
    headers = {"Origin": "http://localhost", "X-CSRFToken": carried}
    assert other.post("/api/thing", headers=headers).status_code == 403


def test_other_machines_need_the_token(guarded: FlaskClient) -> None:
    assert guarded.get("/api/thing").status_code == 401
    assert guarded.post("/api/thing").status_code == 401
    assert guarded.get("/", headers=PAGE).location == "/login"
    for wrong in ("", "Bearer", "Bearer x", f"Basic {token_of(guarded)}"):
        assert guarded.get("/api/thing", headers={"Authorization": wrong}).status_code == 401


def test_a_program_sends_the_token_with_each_request(guarded: FlaskClient) -> None:
    headers = {"Authorization": f"Bearer {token_of(guarded)}"}
    assert guarded.get("/api/thing", headers=headers).status_code == 200
    assert guarded.post("/api/thing", headers=headers).status_code == 200
    assert guarded.get("/api/thing").status_code == 401


def test_a_browser_logs_in_once(guarded: FlaskClient) -> None:
    carried = guarded.get("/login", headers=PAGE).text.partition("|")[2]
    form = {"csrf_token": carried, "token": token_of(guarded)}
    answer = guarded.post("/login", data=form, headers={"Origin": "http://localhost"})
    assert answer.location == "/"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert token_of(guarded) not in cookie
    assert guarded.get("/api/thing").status_code == 200


@pytest.mark.parametrize("secure", [True, False])
def test_a_server_of_https_sends_its_cookie_by_https_only(secure: bool, tmp_path: Path) -> None:
    access, _ = open_access(tmp_path, "0.0.0.0", (), secure=secure)
    app = Flask(__name__)
    guard(app, access)
    assert app.config["SESSION_COOKIE_SECURE"] is secure


def test_a_wrong_token_and_a_forged_form_do_not_log_in(guarded: FlaskClient) -> None:
    carried = guarded.get("/login", headers=PAGE).text.partition("|")[2]
    wrong = guarded.post("/login", data={"csrf_token": carried, "token": "guess"})
    assert wrong.status_code == 401
    forged = guarded.post("/login", data={"token": token_of(guarded)})
    assert forged.status_code == 403
    assert guarded.get("/api/thing").status_code == 401


def test_the_link_of_the_terminal_logs_in_and_hides_the_token(guarded: FlaskClient) -> None:
    answer = guarded.get(f"/?token={token_of(guarded)}", headers=PAGE)
    assert answer.status_code == 302
    assert answer.location == "/"
    assert guarded.get("/api/thing").status_code == 200


def test_the_token_in_an_address_changes_nothing(guarded: FlaskClient) -> None:
    answer = guarded.post(f"/api/thing?token={token_of(guarded)}")
    assert answer.status_code == 401
    assert "Set-Cookie" not in answer.headers


def test_a_cookie_ends_with_its_token(tmp_path: Path) -> None:
    first = application(tmp_path / "data", "0.0.0.0")
    client = first.test_client()
    client.get(f"/?token={first.config['TOKEN']}", headers=PAGE)
    cookie = client.get_cookie("captioner")
    assert cookie is not None
    open_access(tmp_path / "data", "0.0.0.0", (), renew=True)
    later = application(tmp_path / "data", "0.0.0.0").test_client()
    later.set_cookie("captioner", cookie.value)
    assert later.get("/api/thing").status_code == 401


def test_the_token_is_shown_once_and_remembered_as_a_digest(tmp_path: Path) -> None:
    _, token = open_access(tmp_path, "0.0.0.0", ())
    access, again = open_access(tmp_path, "0.0.0.0", ())
    assert token
    assert again == ""
    assert access.is_token(token)
    assert not access.is_token("")
    for path in tmp_path.iterdir():
        assert token not in path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_name_behind_a_proxy_needs_the_token_too(tmp_path: Path) -> None:
    app = application(tmp_path / "data", "127.0.0.1", ("captions.example",))
    client = app.test_client()
    assert client.get("/api/thing", headers={"Host": "captions.example"}).status_code == 401


def test_every_answer_has_the_safe_headers(client: FlaskClient) -> None:
    for path in ("/", "/api/thing", "/missing"):
        answer = client.get(path)
        for name, value in HEADERS.items():
            assert answer.headers[name] == value
        assert answer.headers["Cache-Control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"]
    assert not re.search(r"unsafe|\*|https?:", policy)


@pytest.mark.parametrize("mode", ["no-cors", "cors"])
def test_a_page_of_another_site_fetches_nothing(client: FlaskClient, mode: str) -> None:
    other = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": mode}
    assert client.get("/api/thing", headers=other).status_code == 403
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": mode}
    assert client.get("/api/thing", headers=own).status_code == 200


def test_a_link_of_another_site_is_followed_but_no_frame_filled(client: FlaskClient) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert client.get("/", headers=link | {"Sec-Fetch-Dest": "document"}).status_code == 200
    assert client.get("/", headers=link | {"Sec-Fetch-Dest": "iframe"}).status_code == 403


@pytest.mark.parametrize("path", ["/%5Cevil.example", "/%0d%0aX-Evil:%20yes", "/a%20b"])
def test_the_link_of_the_terminal_leads_to_no_other_site(guarded: FlaskClient, path: str) -> None:
    answer = guarded.get(f"{path}?token={token_of(guarded)}", headers=PAGE)
    assert answer.status_code == 302
    assert answer.location.lower() == path.lower().replace(":%20", "%3a%20")
