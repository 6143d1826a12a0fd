"""Errors a user can mend. Each message is one sentence or a few lines: what is wrong, where, and what to do now."""


class UserError(Exception):
    """Something the user can put right; the command line prints the message alone and exits with `exit_code`."""

    exit_code = 1


class ConfigError(UserError):
    """The site file or an option is wrong."""

    exit_code = 2


class NameNotUnderstood(UserError):
    """A file's name does not tell its camera and start."""


class UnreadableVideo(UserError):
    """No frame can be read from a file: it is quarantined with this sentence."""


class SourceChanged(UserError):
    """A video's file changed or vanished between its registration and the end of its reading."""


class ModelMissing(UserError):
    """A model named in the configuration is not on this machine."""


class ModelCorrupt(UserError):
    """A model's files are there and cannot be loaded, or differ from their checksum."""


class PostgresUnreachable(UserError):
    """No connection to Postgres, at start or after every retry."""


class NoSpace(UserError):
    """A server has no room left on its disk."""


class SchemaOutdated(UserError):
    """The database's schema is not the one this code was written for."""


class ServiceError(UserError):
    """An embedded service could not be started or stopped."""
