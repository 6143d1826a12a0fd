"""Giving messages to a channel: a webhook, an e-mail server, Slack through Dagster's own resource.

Secrets are read where they are used and stand in no message of an error: neither a URL nor what a server answered is
repeated, since either may hold one.
"""

import datetime as dt
import os
import re
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from psycopg2.extensions import connection as Connection

from pc_pipeline.alerts.messages import email, shown, slack_text, webhook_body
from pc_pipeline.errors import UserError
from pc_pipeline.ingest.alerts import AlertsConfig, Channel, Email, Slack, Webhook
from pc_pipeline.store import alerts as store
from pc_pipeline.store.alerts import Message
from pc_pipeline.store.postgres import in_transaction

_TIMEOUT_S = 10.0
# Events in one message; what is more follows in another.
_TOGETHER = 25
_PORTS = {"starttls": 587, "ssl": 465, "none": 25}


class NotDelivered(UserError):
    """A channel did not take a message; the sentence says why, and holds no secret."""


@dataclass(frozen=True)
class Sent:
    """What a channel was given.

    Attributes:
        titles: of the alerts.
        text: what was sent, or of a dry run what would be.
        error: why it was not taken; None: it was, or in a dry run nothing was tried.
    """

    channel: str
    titles: list[str]
    text: str
    error: str | None = None


def would_send(connection: Connection, settings: AlertsConfig, zone: ZoneInfo) -> list[Sent]:
    """What `send_waiting` would give to each channel now; nothing is sent."""
    found = []
    for name, channel in settings.channels().items():
        messages = store.take_messages(connection, name, limit=10**6)
        for first in range(0, len(messages), _TOGETHER):
            found.append(_sent(name, channel, messages[first : first + _TOGETHER], settings, zone))
    return found


def send_waiting(dsn: str, settings: AlertsConfig, zone: ZoneInfo) -> list[Sent]:
    """Give every channel what waits for it. A channel that does not take a message is left until the next time.

    A message is marked in the transaction that holds its row while it is sent: a crash in between sends it again, and
    what is marked is never sent again. Two who send at the same time share the messages.
    """
    done: list[Sent] = []
    for name, channel in settings.channels().items():
        while True:
            taken: set[tuple[int, str]] = set()
            sent, _ = in_transaction(dsn, partial(_send_some, name, channel, settings, zone, taken))
            if sent is None:
                break
            done.append(sent)
            if sent.error:
                break
    return done


def _send_some(
    name: str,
    channel: Channel,
    settings: AlertsConfig,
    zone: ZoneInfo,
    taken: set[tuple[int, str]],
    connection: Connection,
) -> Sent | None:
    """Send the next messages of a channel and mark them; None where there are none.

    Args:
        taken: those that the channel took already, when the connection was lost before they were marked.
    """
    messages = store.take_messages(connection, name, _TOGETHER)
    if not messages:
        return None
    new = [message for message in messages if message.place not in taken]
    try:
        if new:
            send(channel, new, settings, zone)
    except NotDelivered as error:
        store.mark_failed(connection, name, new, str(error))
        return _sent(name, channel, new, settings, zone, str(error))
    taken |= {message.place for message in new}
    store.mark_delivered(connection, name, messages, dt.datetime.now(dt.UTC))
    return _sent(name, channel, messages, settings, zone)


def _sent(
    name: str,
    channel: Channel,
    messages: Sequence[Message],
    settings: AlertsConfig,
    zone: ZoneInfo,
    error: str | None = None,
) -> Sent:
    titles = [message.alert["title"] for message in messages]
    return Sent(name, titles, shown(messages, settings, zone, channel), error)


def send(channel: Channel, messages: Sequence[Message], settings: AlertsConfig, zone: ZoneInfo) -> None:
    """Send one message that carries all of these.

    Raises:
        NotDelivered: the channel did not take it.
    """
    if isinstance(channel, Webhook):
        _post(channel, webhook_body(messages, settings, zone))
    elif isinstance(channel, Email):
        _mail(channel, messages, settings)
    else:
        _slack(channel, slack_text(messages, settings))


# -------------------------------------------------------------------------------------------------------- channels


def _post(channel: Webhook, body: str) -> None:
    import requests

    url = _secret("url", channel.url_env, channel.url_file)
    if not url.lower().startswith(("http://", "https://")):
        raise NotDelivered("The webhook's URL must begin with https:// or http://: correct it where it is kept.")
    try:
        answer = requests.post(
            url,
            data=body.encode(),
            headers={"Content-Type": "application/json; charset=utf-8", "User-Agent": "pc_pipeline"},
            timeout=_TIMEOUT_S,
            # A POST that is redirected becomes a GET without its body.
            allow_redirects=False,
        )
    except requests.Timeout:
        raise NotDelivered(f"The webhook did not answer within {_TIMEOUT_S:.0f} s.") from None
    except requests.exceptions.SSLError:
        raise NotDelivered("The webhook's certificate is not trusted here: correct it or the URL.") from None
    except requests.ConnectionError:
        raise NotDelivered("Nothing answers at the webhook's address: is it up, and reachable from here?") from None
    except (requests.RequestException, ValueError):
        raise NotDelivered("The webhook's URL cannot be used: correct it where it is kept.") from None
    if answer.is_redirect:
        raise NotDelivered(f"The webhook answered {answer.status_code}: keep the URL that it redirects to.")
    if not answer.ok:
        raise NotDelivered(f"The webhook answered {answer.status_code}: see its own log, or correct the URL.")


def _mail(channel: Email, messages: Sequence[Message], settings: AlertsConfig) -> None:
    mail = email(messages, settings, channel)
    port = channel.port or _PORTS[channel.security]
    where = f"{channel.host}:{port}"
    password = _secret("password", channel.password_env, channel.password_file) if channel.user else None
    try:
        # As Dagster's own e-mail sensor does it, with a limit on how long it may take.
        with _connected(channel, port) as server:
            if channel.user and password:
                server.login(channel.user, password)
            server.send_message(mail)
    except smtplib.SMTPAuthenticationError:
        raise NotDelivered(f"The e-mail server {where} refuses the user or the password: correct them.") from None
    except smtplib.SMTPRecipientsRefused:
        raise NotDelivered(f"The e-mail server {where} refuses every recipient: correct `recipients`.") from None
    except smtplib.SMTPSenderRefused as error:
        raise NotDelivered(
            f"The e-mail server {where} refuses the sender ({error.smtp_code}): correct `sender`."
        ) from None
    except smtplib.SMTPNotSupportedError:
        raise NotDelivered(f"The e-mail server {where} offers no such `security` or login: write another.") from None
    except smtplib.SMTPResponseException as error:
        raise NotDelivered(f"The e-mail server {where} answered {error.smtp_code}: see its log.") from None
    except ssl.SSLError:
        raise NotDelivered(
            f"No trusted connection with the e-mail server {where}: check its certificate and `security`."
        ) from None
    except (OSError, smtplib.SMTPException, ValueError):
        raise NotDelivered(
            f"The e-mail server {where} does not answer as one: check `host`, `port` and `security`."
        ) from None


def _connected(channel: Email, port: int) -> smtplib.SMTP:
    trusted = ssl.create_default_context()
    if channel.security == "ssl":
        return smtplib.SMTP_SSL(channel.host, port, context=trusted, timeout=_TIMEOUT_S)
    server = smtplib.SMTP(channel.host, port, timeout=_TIMEOUT_S)
    if channel.security == "starttls":
        server.starttls(context=trusted)
    return server


def _slack(channel: Slack, text: str) -> None:
    from dagster_slack import SlackResource
    from slack_sdk.errors import SlackApiError, SlackClientError

    client = SlackResource(token=_secret("token", channel.token_env, channel.token_file)).get_client()
    client.base_url = channel.api_url if channel.api_url.endswith("/") else f"{channel.api_url}/"
    client.timeout = int(_TIMEOUT_S)
    # The next evaluation is the next try.
    client.retry_handlers = []
    try:
        client.chat_postMessage(channel=channel.channel, text=text, unfurl_links=False, unfurl_media=False)
    except SlackApiError as error:
        # Slack's own word, such as invalid_auth, channel_not_found or ratelimited.
        said = str(error.response.get("error"))
        reason = said if re.fullmatch(r"[a-z_]+", said) else error.response.status_code
        raise NotDelivered(
            f"Slack answered '{reason}' for {channel.channel}: check the token's scope (chat:write), and that its bot"
            " is a member of the channel."
        ) from None
    except (SlackClientError, OSError, ValueError):
        raise NotDelivered("Slack does not answer: look at the network, or the proxy (HTTPS_PROXY).") from None


def _secret(what: str, variable: str | None, file: str | None) -> str:
    """A secret from the environment variable or the file that the site file names.

    Raises:
        NotDelivered: it is not there.
    """
    if variable:
        value = os.environ.get(variable, "").strip()
        if not value:
            raise NotDelivered(
                f"The environment variable {variable} ({what}_env) is not set where this runs: set it for the services,"
                " and start them again."
            )
        return value
    try:
        value = Path(file or "").read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise NotDelivered(f"The file {file} ({what}_file) cannot be read: {why}.") from None
    if not value:
        raise NotDelivered(f"The file {file} ({what}_file) is empty: write the {what} into it.")
    return value
