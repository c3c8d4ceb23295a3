"""Digest authentication of SIP: the answers to a challenge, their verification, and AKA; pure, without a reactor."""
