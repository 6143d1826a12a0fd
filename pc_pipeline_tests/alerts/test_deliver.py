"""Channels as they are: servers on this machine take what is sent, or do not, and no secret is ever repeated."""

import datetime as dt
import email
import socket
import ssl
import subprocess
import traceback
from email.policy import default
from zoneinfo import ZoneInfo

import pytest

from pc_pipeline.alerts.deliver import NotDelivered, send
from pc_pipeline.alerts.messages import shown, trial_message
from pc_pipeline.ingest.alerts import AlertsConfig, Email, Slack, Webhook
from pc_pipeline.store.alerts import Message
from pc_pipeline_tests.alerts.servers import slack_server, smtp_server, webhook_server

LONDON = ZoneInfo("Europe/London")
SINCE = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)
SETTINGS = AlertsConfig(link="https://counts.example.org:3000")
SECRET = "xoxb-s3cret"


def message(event="opened", **changes):
    alert = {
        "alert_id": 12, "kind": "occupancy", "camera": "door", "subject": "", "since": SINCE, "ended_at": None,
        "value": 60.0, "threshold": 50.0, "title": "Too many people: door", "says": "Up to 60 people.",
        "advice": "Let nobody in.", "opened_at": SINCE + dt.timedelta(hours=1), "resolved_at": None, "resolution": None,
    }  # fmt: skip
    return Message(event, alert | changes)


OVER = {"ended_at": SINCE, "resolved_at": SINCE, "resolution": "No more than 50."}


def deliver(channel, *messages):
    send(channel, messages or [message()], SETTINGS, LONDON)


def refused(channel):
    """The sentence with which a channel does not take a message."""
    with pytest.raises(NotDelivered) as caught:
        deliver(channel)
    assert SECRET not in "".join(traceback.format_exception(caught.value)[1:])
    return str(caught.value)


def unused_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


# ---------------------------------------------------------------------------------------------------------- webhook


def test_a_webhook_is_posted_all_events_in_one_stable_body(monkeypatch):
    with webhook_server() as taken:
        monkeypatch.setenv("HOOK", f"http://{taken.address}/{SECRET}")
        deliver(Webhook(url_env="HOOK"), message(), message("resolved", **OVER))
    (request,) = taken.requests
    assert request["path"] == f"/{SECRET}" and "application/json" in request["headers"]["Content-Type"]
    body = request["body"]
    assert {name: body[name] for name in ("version", "timezone", "link")} == {
        "version": 1, "timezone": "Europe/London", "link": "https://counts.example.org:3000",
    }  # fmt: skip
    first, second = body["events"]
    assert first == {
        "id": "12-opened",
        "event": "opened",
        "alert": {
            "number": 12, "kind": "occupancy", "camera": "door", "subject": None, "title": "Too many people: door",
            "says": "Up to 60 people.", "advice": "Let nobody in.", "value": 60.0, "threshold": 50.0,
            "since": "2026-07-01T08:00:00+00:00", "ended_at": None, "opened_at": "2026-07-01T09:00:00+00:00",
            "resolved_at": None, "resolution": None,
        },
    }  # fmt: skip
    assert (second["id"], second["alert"]["resolution"]) == ("12-resolved", "No more than 50.")


def test_a_webhook_that_does_not_take_it_says_why_without_its_url(monkeypatch, tmp_path):
    file = tmp_path / "url"
    hook = Webhook(url_file=str(file))
    assert refused(hook) == f"The file {file} (url_file) cannot be read: No such file or directory."
    file.write_text("\n")
    assert "is empty" in refused(hook)
    assert "HOOK (url_env) is not set where this runs" in refused(Webhook(url_env="HOOK"))
    for text, why in [
        (f"ftp://here/{SECRET}", "must begin with https://"),
        (f"http://here:{SECRET}/", "cannot be used"),
        (f"http://127.0.0.1:{unused_port()}/{SECRET}", "Nothing answers at the webhook's address"),
    ]:
        file.write_text(f"{text}\n")
        assert why in refused(hook), text
    with webhook_server() as taken:
        file.write_text(f"http://{taken.address}/{SECRET}")
        for status, why in [(500, "answered 500"), (404, "answered 404"), (301, "keep the URL that it redirects to")]:
            taken.answer = status
            assert why in refused(hook)
        file.write_text(f"https://{taken.address}/{SECRET}")
        assert "certificate" in refused(hook)


# ------------------------------------------------------------------------------------------------------------ slack


def test_slack_takes_one_text_in_which_no_name_is_markup():
    with slack_server() as taken:
        channel = Slack(channel="#doors", token_env="TOKEN", api_url=f"http://{taken.address}/api")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("TOKEN", SECRET)
            deliver(channel, message(title="<!channel> & co"), message("resolved", **OVER))
            taken.answer = "channel_not_found"
            assert "'channel_not_found' for #doors" in refused(channel)
        assert "TOKEN (token_env) is not set" in refused(channel)
    request = taken.requests[0]
    assert (request["path"], request["headers"]["Authorization"]) == ("/api/chat.postMessage", f"Bearer {SECRET}")
    assert request["body"]["channel"] == "#doors"
    assert request["body"]["text"].split("\n") == [
        "*Alert: &lt;!channel&gt; &amp; co*", "Up to 60 people.", "Let nobody in.", "",
        "*Resolved: Too many people: door*", "Up to 60 people.", "No more than 50.", "",
        "<https://counts.example.org:3000|Dagster>",
    ]  # fmt: skip


def test_slack_that_is_not_there(monkeypatch):
    monkeypatch.setenv("TOKEN", SECRET)
    channel = Slack(channel="#doors", token_env="TOKEN", api_url=f"http://127.0.0.1:{unused_port()}/")
    assert "Slack does not answer" in refused(channel)


# ----------------------------------------------------------------------------------------------------------- e-mail


def to_guard(taken, **settings):
    host, _, port = taken.address.partition(":")
    return Email(host=host, port=int(port), sender="counts@example.org", recipients=["a@b.org", "c@d.org"], **settings)


def test_an_email_is_plain_text_to_all_recipients():
    with smtp_server() as taken:
        deliver(to_guard(taken, security="none"), message(title="Übervoll\nBcc: x@y.z"), message())
    (mail,) = taken.requests
    assert (mail["from"], mail["to"]) == ("<counts@example.org>", ["<a@b.org>", "<c@d.org>"])
    read = email.message_from_bytes(mail["body"].encode(), policy=default)
    assert read["Subject"] == "Alert: Übervoll Bcc: x@y.z, and 1 more" and read["To"] == "a@b.org, c@d.org"
    assert read["Bcc"] is None
    assert read["Auto-Submitted"] == "auto-generated" and read["Message-ID"].endswith("@example.org>")
    text = "\n\n".join(["Alert: Übervoll\nBcc: x@y.z", "Up to 60 people.", "Let nobody in."])
    assert read.get_content().startswith(text) and "https://counts.example.org:3000" in read.get_content()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of 127.0.0.1 of our own, and its file."""
    folder = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key", "-out",
         folder / "crt"],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "crt", folder / "key")
    return context, folder / "crt"


def test_the_password_goes_over_a_trusted_connection_alone(certificate, monkeypatch, tmp_path):
    context, crt = certificate
    (tmp_path / "password").write_text(f"{SECRET}\n")
    login = {"user": "counts", "password_file": str(tmp_path / "password")}
    with smtp_server(context, SECRET) as taken:
        channel = to_guard(taken, **login)
        assert "check its certificate and `security`" in refused(channel)
        monkeypatch.setenv("SSL_CERT_FILE", str(crt))
        deliver(channel)
        assert (taken.requests[0]["secure"], taken.requests[0]["login"]) == (True, f"\0counts\0{SECRET}")
        (tmp_path / "password").write_text("another")
        assert "refuses the user or the password" in refused(channel)
        assert "offers no such" not in refused(channel)
    with smtp_server(None, SECRET) as taken:
        assert "offers no such `security` or login" in refused(to_guard(taken, **login))
    assert len(taken.requests) == 0


def test_a_mail_server_that_does_not_take_it_says_why():
    with smtp_server() as taken:
        channel = to_guard(taken, security="none")
        taken.answer = 452
        assert "answered 452" in refused(channel)
    assert "does not answer as one" in refused(channel)


# --------------------------------------------------------------------------------------------------------- all three


def test_what_is_shown_of_a_message_is_what_is_sent_and_holds_no_secret(monkeypatch):
    monkeypatch.setenv("HOOK", f"https://example.org/{SECRET}")
    mail = Email(host="h", sender="a@b.org", recipients=["c@d.org"], user="u", password_env="HOOK")
    channels = [Webhook(url_env="HOOK"), mail, Slack(channel="#doors", token_env="HOOK")]
    trial = trial_message(SINCE)
    for channel in channels:
        text = shown([trial], SETTINGS, LONDON, channel)
        assert "people counting can reach you" in text and SECRET not in text
