"""Errors between Custody and its broker, each a one-line message that a person at a terminal can act on."""

from __future__ import annotations


class BrokerError(Exception):
    """Base of errors that make a broker unusable for Custody; the text is one line and contains no password."""


class BrokerUnavailableError(BrokerError):
    """No broker answers at the address, or it refused the credentials."""


class CredentialsRefusedError(BrokerUnavailableError):
    """The broker refused the credentials, or a connection that is safe for them: a retry cannot help."""


class CredentialsError(BrokerError):
    """A file with credentials or certificates cannot be used; no connection was tried."""


class BrokerTooOldError(BrokerError):
    """The broker is older than the first version with reliable atomic batches."""


class NoJetStreamError(BrokerError):
    """The broker answers but has no JetStream for this account."""


class LogGoneError(BrokerError):
    """The broker has not the log that this pool had, and no new one was meant."""


class StreamMismatchError(BrokerError):
    """The pool's stream exists, but its settings do not suit an event log; nothing was changed."""


class PayloadLimitError(BrokerError):
    """The broker takes no messages as large as replies can be."""
