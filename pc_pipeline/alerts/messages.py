"""What is said of alerts: the JSON of a webhook, an e-mail, a text for Slack.

One message carries all that is to be said: a recorder that dies takes its forty cameras along, and that is one message.
"""

import datetime as dt
import json
from collections.abc import Sequence
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from zoneinfo import ZoneInfo

from pc_pipeline.ingest.alerts import AlertsConfig, Channel, Email, Slack
from pc_pipeline.store.alerts import Message

_LABELS = {"opened": "Alert", "resolved": "Resolved", "test": "Test"}
_FIELDS = (
    "kind", "camera", "subject", "title", "says", "advice", "value", "threshold", "since", "ended_at", "opened_at",
    "resolved_at", "resolution",
)  # fmt: skip


def webhook_body(messages: Sequence[Message], settings: AlertsConfig, zone: ZoneInfo) -> str:
    """The JSON (docs/alerts.md has its fields): the same for the same events, however often it is sent."""
    events = [
        {
            "id": f"{message.alert['alert_id']}-{message.event}",
            "event": message.event,
            "alert": {"number": message.alert["alert_id"]} | {name: _plain(message.alert[name]) for name in _FIELDS},
        }
        for message in messages
    ]
    return json.dumps({"version": 1, "timezone": zone.key, "link": settings.link, "events": events}, ensure_ascii=False)


def _plain(value: object) -> object:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    return None if value == "" else value


def subject(messages: Sequence[Message]) -> str:
    """What it is about, in one short line."""
    first = messages[0]
    # A location may be written over several lines, and a header is one.
    line = " ".join(f"{_LABELS[first.event]}: {first.alert['title']}".split())
    return line if len(messages) == 1 else f"{line}, and {len(messages) - 1} more"


def paragraphs(message: Message) -> list[str]:
    """The sentences of a message: what, then what to do, or why it is over."""
    alert = message.alert
    return [alert["says"], alert["resolution"] if message.event == "resolved" else alert["advice"]]


def email(messages: Sequence[Message], settings: AlertsConfig, channel: Email) -> EmailMessage:
    """The e-mail, in plain text."""
    mail = EmailMessage()
    mail["From"] = channel.sender
    mail["To"] = ", ".join(channel.recipients)
    mail["Subject"] = subject(messages)
    mail["Date"] = formatdate(localtime=False)
    mail["Message-ID"] = make_msgid(domain=channel.sender.rpartition("@")[2])
    # No answer from a holiday is wanted.
    mail["Auto-Submitted"] = "auto-generated"
    parts = ["\n\n".join([f"{_LABELS[m.event]}: {m.alert['title']}", *paragraphs(m)]) for m in messages]
    mail.set_content("\n\n\n".join(parts) + (f"\n\n\n{settings.link}\n" if settings.link else "\n"))
    return mail


def slack_text(messages: Sequence[Message], settings: AlertsConfig) -> str:
    """The text of a Slack message, in its own markup."""
    lines = [
        f"*{_LABELS[m.event]}: {_escaped(m.alert['title'])}*\n" + "\n".join(map(_escaped, paragraphs(m)))
        for m in messages
    ]
    return "\n\n".join(lines) + (f"\n\n<{_escaped(settings.link)}|Dagster>" if settings.link else "")


def _escaped(text: str) -> str:
    # A camera's or file's name must not become a mention of everyone or a link.
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def shown(messages: Sequence[Message], settings: AlertsConfig, zone: ZoneInfo, channel: Channel) -> str:
    """What a channel is sent, as text to look at."""
    if isinstance(channel, Slack):
        return f"{channel.channel}\n{slack_text(messages, settings)}"
    if isinstance(channel, Email):
        mail = email(messages, settings, channel)
        head = "\n".join(f"{name}: {mail[name]}" for name in ("From", "To", "Subject"))
        return f"{head}\n\n{mail.get_content()}".rstrip()
    return webhook_body(messages, settings, zone)


def trial_message(now: dt.datetime) -> Message:
    """A message that only shows that a channel works."""
    alert: dict[str, object] = dict.fromkeys(_FIELDS) | {
        "alert_id": 0,
        "kind": "test",
        "title": "people counting can reach you",
        "says": "This is a test of the channel, sent by `pc alerts test`.",
        "advice": "Nothing needs to be done.",
        "since": now,
        "opened_at": now,
    }
    return Message("test", alert)
