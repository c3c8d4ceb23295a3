"""Digest authentication of SIP, both sides of it, and AKA: pure arithmetic and state, without a reactor."""
