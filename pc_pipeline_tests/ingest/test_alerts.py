"""The section `alerts:`: what is watched of which camera, its mistakes named, and no secret taken or repeated."""

import pytest

from pc_pipeline.errors import ConfigError
from pc_pipeline.ingest.alerts import AlertsConfig, Threshold, thresholds
from pc_pipeline.ingest.site import SiteConfig, load_site

GOOD = """
timezone: Europe/London
alerts:
  occupancy: 50
  coverage: null
  webhooks: {board: {url_env: PC_BOARD_URL}}
  emails:
    manager:
      host: mail.example.org
      sender: counts@example.org
      recipients: [manager@example.org]
      user: counts
      password_file: /etc/pc/mail
      kinds: [occupancy]
  slack: {team: {channel: "#doors", token_env: PC_SLACK_TOKEN}}
cameras:
  back:
    zones: {hall: [[0, 0], [1, 0], [1, 1]]}
    alerts: {occupancy: null, zones: {hall: 5}, checks: false, unknown_share: false}
  door: {alerts: {nobody: 20}}
"""


def load(tmp_path, text):
    path = tmp_path / "site.yaml"
    path.write_text(text)
    return load_site(path)


def complaint(tmp_path, alerts, door="{}"):
    """The one sentence on a site whose `alerts` and camera are so."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, f"timezone: Europe/London\nalerts: {alerts}\ncameras: {{door: {door}}}\n")
    (line,) = str(caught.value).splitlines()
    return line.removeprefix(f"{tmp_path}/site.yaml:")


def test_what_is_watched_of_each_camera_is_the_sites_with_its_own_over_it(tmp_path):
    site = load(tmp_path, GOOD)
    watched = thresholds(site.alerts, {name: camera.alerts for name, camera in site.cameras.items()})
    assert watched == [
        Threshold("check_failed"),
        Threshold("check_failed", "door"),
        Threshold("nobody", "back", "", 10),
        Threshold("nobody", "door", "", 20),
        Threshold("occupancy", "back", "hall", 5),
        Threshold("occupancy", "door", "", 50),
        Threshold("run_failed"),
        Threshold("unknown_share", "door"),
    ]
    assert list(site.alerts.channels()) == ["webhook board", "email manager", "slack team"]


def test_without_the_section_a_camera_is_watched_and_nobody_is_told():
    plain = AlertsConfig()
    kinds = [(one.kind, one.threshold) for one in thresholds(plain, {"door": SiteConfig(timezone="UTC").alerts})]
    assert (plain.channels(), plain.max_age) == ({}, 2 * 86400)
    assert kinds == [
        ("check_failed", None), ("check_failed", None), ("coverage", 7200), ("nobody", 10), ("run_failed", None),
        ("unknown_share", None),
    ]  # fmt: skip


def test_the_section_survives_json(tmp_path):
    site = load(tmp_path, GOOD)
    again = SiteConfig.model_validate(site.model_dump(mode="json", by_alias=True))
    assert again.alerts == site.alerts
    assert again.cameras["back"].alerts.model_fields_set == site.cameras["back"].alerts.model_fields_set
    assert "alerts" not in again.effective("back").model_dump()  # nothing is counted anew for a threshold


MAIL = "host: h, sender: a@b.c, recipients: [a@b.c]"


@pytest.mark.parametrize(
    ("alerts", "says"),
    [
        ("{ocupancy: 4}", "2: unknown key 'ocupancy' in 'alerts': did you mean 'occupancy'?"),
        ("{max_age: 60}", "2: 'max_age' must be at least 3600, not 60"),
        ("{webhooks: {a: {}}}", "2: name one of 'url_env' (an environment variable) and 'url_file' (a file)"),
        ("{webhooks: {a: {url_env: X, url_file: /x}}}", "2: name one of 'url_env' (an environment variable)"),
        ("{slack: {a: {token_env: X}}}", "2: 'alerts.slack.a' has no 'channel': add 'channel: \"#doors\"'"),
        ("{slack: {a: {channel: c, token_env: X, api_url: slack}}}", "2: write a web address such as https://"),
        ("{slack: {a: {channel: c, token_env: X, kinds: []}}}", "2: 'kinds' is empty: list at least one"),
        (f"{{emails: {{a: {{{MAIL}, password_env: X}}}}}}", "2: a password needs a 'user' who logs in with it"),
        (f"{{emails: {{a: {{{MAIL}, user: u}}}}}}", "2: name one of 'password_env'"),
        (f"{{emails: {{a: {{{MAIL}, user: u, password_env: X, security: none}}}}}}", "2: a password must not go over"),
        ("{emails: {a: {host: h, sender: me, recipients: [a@b.c]}}}", "2: 'me' is no e-mail address"),
        ('{emails: {a: {host: h, sender: "a@b.c\\nBcc: x@y.z", recipients: [a@b.c]}}}', "is no e-mail address"),
    ],
)
def test_a_mistake_is_one_sentence_with_its_line(tmp_path, alerts, says):
    assert says in complaint(tmp_path, alerts)


def test_a_limit_of_a_zone_that_the_camera_does_not_have(tmp_path):
    said = complaint(tmp_path, "{}", "{alerts: {zones: {hall: 4}}}")
    assert said == "3: there is no zone 'hall' (zones: none)"


@pytest.mark.parametrize("key", ["url_env", "url_file", "url"])
def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(tmp_path, key):
    said = complaint(tmp_path, f'{{webhooks: {{a: {{{key}: "https://example.org/s3cret"}}}}}}')
    assert "s3cret" not in said and ("does not belong here" in said or "did you mean 'url_env'" in said)
