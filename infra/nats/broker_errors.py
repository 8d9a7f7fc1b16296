"""What can be wrong between Custody and its broker, each as one line that a person at a terminal can act on."""

from __future__ import annotations


class BrokerError(Exception):
    """Base of what makes a broker unusable for Custody; its text is one line and never holds a password."""


class BrokerUnavailableError(BrokerError):
    """No broker answers at the address, or it turned the credentials away."""


class TurnedAwayError(BrokerUnavailableError):
    """The broker is there, and turned the credentials or the certificate away: trying again cannot help."""


class CredentialsError(BrokerError):
    """A file with credentials or certificates cannot be used; nothing was dialled."""


class BrokerTooOldError(BrokerError):
    """The broker answers but is older than the first version whose atomic batches Custody can rely on."""


class NoJetStreamError(BrokerError):
    """The broker answers but has no JetStream for this account."""


class StreamMismatchError(BrokerError):
    """The pool's stream exists with settings under which the log would not be a log; nothing was changed."""
