"""The section `alerts:` of the site file: what is watched, and who is told by which channel.

No secret stands here: a channel names the environment variable or the file that holds its URL, token or password.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from pc_pipeline.ingest.values import Model, Name, Number, Whole, none_is_empty

Kind = Literal["occupancy", "nobody", "coverage", "unknown_share", "check_failed", "run_failed"]
KINDS: tuple[Kind, ...] = ("occupancy", "nobody", "coverage", "unknown_share", "check_failed", "run_failed")
# What is over for longer is not looked at any more, whatever a site says: alerts are kept as long, or more.
LONGEST_AGE_S = 14 * 86400

# ---------------------------------------------------------------------------------------------------------- values


def _variable(name: str) -> str:
    # What stands there instead may be the secret itself: it is not repeated.
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise ValueError(
            "the secret itself does not belong here: write the name of the environment variable that holds it, such as "
            "PC_SLACK_TOKEN"
        )
    return name


def _whole_path(path: str) -> str:
    if not path.startswith("/") or not path.isprintable():
        raise ValueError(
            "the secret itself does not belong here: write the whole path, from /, of the file that holds it"
        )
    return path


def _address(address: str) -> str:
    if not re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", address) or not address.isprintable():
        raise ValueError(f"{address!r} is no e-mail address: write one such as guard@example.org")
    return address


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or not url.isprintable():
        raise ValueError("write a web address such as https://counts.example.org:3000, without user and password")
    return url


Variable = Annotated[str, AfterValidator(_variable)]
File = Annotated[str, AfterValidator(_whole_path)]
Address = Annotated[str, AfterValidator(_address)]
WebAddress = Annotated[str, AfterValidator(_web_address)]
People = Annotated[Whole, Field(ge=1)]
Kinds = Annotated[list[Kind], Field(min_length=1)]


def _one_of(model: Any, what: str, *, needed: bool = True) -> None:
    """Refuse a channel that names both a variable and a file for its secret, or none where it needs one."""
    given = [getattr(model, f"{what}_env"), getattr(model, f"{what}_file")]
    if all(given) or (needed and not any(given)):
        raise ValueError(f"name one of '{what}_env' (an environment variable) and '{what}_file' (a file)")


# -------------------------------------------------------------------------------------------------------- channels


class Webhook(Model):
    """A URL that a JSON body is posted to; the URL is a secret, since whoever knows it can post there.

    Attributes:
        url_env, url_file: where the URL is.
        kinds: the kinds of alerts that are sent there.
    """

    url_env: Variable | None = None
    url_file: File | None = None
    kinds: Kinds = list(KINDS)

    @model_validator(mode="after")
    def _one_url(self) -> "Webhook":
        _one_of(self, "url")
        return self


class Email(Model):
    """People who get e-mail.

    Attributes:
        security: starttls (port 587), ssl (port 465), or none (port 25) for a server in the house without passwords.
        port: another port than those.
        user: who logs in; without one, nobody does.
        password_env, password_file: where that user's password is.
        kinds: the kinds of alerts that are sent.
    """

    host: str
    sender: Address
    recipients: Annotated[list[Address], Field(min_length=1)]
    security: Literal["starttls", "ssl", "none"] = "starttls"
    port: Annotated[Whole, Field(ge=1, le=65535)] | None = None
    user: str | None = None
    password_env: Variable | None = None
    password_file: File | None = None
    kinds: Kinds = list(KINDS)

    @model_validator(mode="after")
    def _password_and_user(self) -> "Email":
        _one_of(self, "password", needed=self.user is not None)
        if self.user is None and (self.password_env or self.password_file):
            raise ValueError("a password needs a 'user' who logs in with it")
        if self.user is not None and self.security == "none":
            raise ValueError("a password must not go over the network in the clear: write 'security: starttls' or ssl")
        return self


class Slack(Model):
    """A Slack channel.

    Attributes:
        channel: its name, such as '#doors', or its id.
        token_env, token_file: where the bot's token (xoxb-…, scope chat:write) is.
        api_url: another Slack than the usual one, such as https://slack-gov.com/api/.
        kinds: the kinds of alerts that are sent there.
    """

    channel: Annotated[str, Field(min_length=1, max_length=80)]
    token_env: Variable | None = None
    token_file: File | None = None
    api_url: WebAddress = "https://slack.com/api/"
    kinds: Kinds = list(KINDS)

    @model_validator(mode="after")
    def _one_token(self) -> "Slack":
        _one_of(self, "token")
        return self


Channel = Webhook | Email | Slack

# ------------------------------------------------------------------------------------------------------ thresholds


class CameraAlerts(Model):
    """What is watched of a camera; null switches a kind off.

    Attributes:
        occupancy: most people inside at once, by the camera's lines.
        zones: most people in a zone at once, by the zone's name.
        nobody: an hour without anybody is told where this weekday's hour usually has so many people or more.
        coverage: seconds of the usual video that may be missing in one stretch; longer than a file takes to arrive.
        unknown_share: more people of unknown gender than usual.
        checks: the latest check of a recent day failed.
    """

    occupancy: People | None = None
    zones: Annotated[dict[Name, People], BeforeValidator(none_is_empty)] = {}
    # Of nine people usual, chance alone leaves none: three standard errors.
    nobody: Annotated[Number, Field(ge=1)] | None = 10
    coverage: Annotated[Number, Field(ge=60)] | None = 7200
    unknown_share: bool = True
    checks: bool = True


class AlertsConfig(CameraAlerts):
    """What is watched of each camera unless it says otherwise, of the site as a whole, and who is told.

    Attributes:
        site_occupancy: most people inside at once, by the lines of all cameras together.
        runs: a run failed.
        max_age: seconds; what happened longer ago is not looked at, and what could not be sent for so long is dropped.
        link: the address of the Dagster UI, to stand in messages.
        webhooks, emails, slack: the channels, by name.
    """

    site_occupancy: People | None = None
    runs: bool = True
    max_age: Annotated[Number, Field(ge=3600, le=LONGEST_AGE_S)] = 172800
    link: WebAddress | None = None
    webhooks: Annotated[dict[Name, Webhook], BeforeValidator(none_is_empty)] = {}
    emails: Annotated[dict[Name, Email], BeforeValidator(none_is_empty)] = {}
    slack: Annotated[dict[Name, Slack], BeforeValidator(none_is_empty)] = {}

    def channels(self) -> dict[str, Channel]:
        """Every channel by the name messages are kept under, such as `slack team`."""
        kinds: dict[str, dict[str, Any]] = {"webhook": self.webhooks, "email": self.emails, "slack": self.slack}
        return {f"{kind} {name}": channel for kind, named in kinds.items() for name, channel in named.items()}

    def of_camera(self, own: CameraAlerts) -> CameraAlerts:
        """What is watched of a camera that says this of itself."""
        site = self.model_dump(include=set(CameraAlerts.model_fields))
        return CameraAlerts.model_validate(site | own.model_dump(exclude_unset=True))


@dataclass(frozen=True)
class Threshold:
    """One thing that is watched, as the table `alert_thresholds` holds it.

    Attributes:
        camera: empty for the whole site.
        subject: of occupancy, the zone; empty for those inside by the lines.
        threshold: people, usual people an hour, or seconds, by the kind; None where the limit comes from elsewhere.
    """

    kind: Kind
    camera: str = ""
    subject: str = ""
    threshold: float | None = None


def thresholds(alerts: AlertsConfig, cameras: Mapping[str, CameraAlerts]) -> list[Threshold]:
    """All that is watched: of each of the cameras, and of the site.

    Args:
        alerts: the site's.
        cameras: of the active ones, what each says of itself.
    """
    found = [Threshold("run_failed")] if alerts.runs else []
    # Checks that judge a day of all cameras at once belong to the site.
    found += [Threshold("check_failed")] if alerts.checks else []
    if alerts.site_occupancy is not None:
        found.append(Threshold("occupancy", threshold=alerts.site_occupancy))
    for camera, own in cameras.items():
        watched = alerts.of_camera(own)
        found += [Threshold("occupancy", camera, zone, limit) for zone, limit in watched.zones.items()]
        limits: dict[Kind, float | None] = {
            "occupancy": watched.occupancy,
            "nobody": watched.nobody,
            "coverage": watched.coverage,
        }
        found += [Threshold(kind, camera, "", limit) for kind, limit in limits.items() if limit is not None]
        found += [Threshold("unknown_share", camera)] if watched.unknown_share else []
        found += [Threshold("check_failed", camera)] if watched.checks else []
    return sorted(found, key=lambda one: (one.kind, one.camera, one.subject))
