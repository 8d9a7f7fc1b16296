"""The chain of hashes, by the words of the contract: readers in any language compute the same."""

import hashlib

from domain.hash_chain import GENESIS_HASH, HASH_HEADER, chain_hash, hash_in


def test_a_hash_is_that_of_the_previous_one_the_position_the_subject_and_the_body_by_lines() -> None:
    said = b"aa\n7\ncustody.p.evt.task.T.started\n{}"
    assert chain_hash("aa", 7, "custody.p.evt.task.T.started", b"{}") == hashlib.sha256(said).hexdigest()


def test_a_message_without_a_hash_begins_a_chain() -> None:
    assert GENESIS_HASH == "0" * 64
    assert hash_in({}) == GENESIS_HASH
    assert hash_in({HASH_HEADER: "aa"}) == "aa"
    assert HASH_HEADER == "Custody-Hash"
