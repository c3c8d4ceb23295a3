"""Whom a certificate stands for in SIP (RFC 5922): domains, users, and whether it proves a given one."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sipactors.errors import MalformedMessage
from sipactors.message import SIPURI, parse_uri

_DNS_NAME = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
)


# RFC 5924 §3.1: id-kp-sipDomain, for the certificates of SIP domains.
_USABLE = {
    x509.ObjectIdentifier("1.3.6.1.5.5.7.3.20"),
    ExtendedKeyUsageOID.SERVER_AUTH,
    ExtendedKeyUsageOID.CLIENT_AUTH,
    ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,
}


@dataclass(slots=True)
class Identities:
    """What the certificate of a peer says of it."""

    domains: tuple[str, ...] = ()
    "SIP domain identities (RFC 5922 §7.1), in lower case."
    users: tuple[str, ...] = ()
    "SIP URIs of single users."
    addresses: tuple[str, ...] = ()
    "Numeric addresses, as Python's ipaddress writes them."

    @property
    def uris(self) -> tuple[str, ...]:
        """All domains and users as SIP URIs: `sip:example.com`, `sip:alice@example.com`."""
        return (*(f"sip:{domain}" for domain in self.domains), *self.users)

    def prove(self, asked: str) -> bool:
        """True when the certificate is for this SIP domain, the host of the URI that was asked for."""
        address = _address(asked)
        if address is not None:
            # A SIP domain that is an address: RFC 5922 knows none, RFC 9525 §6.4 compares the address itself.
            return address in self.addresses or address in map(_address, self.domains)
        # RFC 5922 §7.2: DNS names are compared without regard to case; implementations MUST NOT match any
        # form of wildcard, nor a suffix.
        return asked.lower().rstrip(".") in self.domains

    def __str__(self) -> str:
        return ", ".join((*self.domains, *self.addresses, *self.users)) or "nobody"


def read_identities(certificate: x509.Certificate) -> Identities:
    """The identities in a certificate; none where it cannot be read."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Identities(domains=tuple(_common_names(certificate)))
    except (ValueError, x509.DuplicateExtension):
        return Identities()
    domains: list[str] = []
    users: list[str] = []
    for text in names.get_values_for_type(x509.UniformResourceIdentifier):
        try:
            uri = parse_uri(text)
        except MalformedMessage:
            continue
        # RFC 5922 §7.1: if the scheme of the URI is not "sip", it MUST NOT be accepted as a SIP domain
        # identity; with a userinfo part it identifies an individual user, and MUST NOT be accepted either.
        if isinstance(uri, SIPURI) and uri.scheme == "sip":
            if uri.user is None:
                domains.append(uri.host.lower().rstrip("."))
            else:
                users.append(str(uri))
    if not domains:
        # RFC 5922 §7.1: a DNS name is accepted if and only if no identity of the "sip" URI type is found.
        domains = [name.lower().rstrip(".") for name in names.get_values_for_type(x509.DNSName)]
    addresses = tuple(str(address) for address in names.get_values_for_type(x509.IPAddress))
    return Identities(tuple(name for name in domains if "*" not in name), tuple(users), addresses)


def is_for_sip(certificate: x509.Certificate) -> bool:
    """True when the purposes of a certificate allow it at either end of a connection.

    A SIP server is a client of others with the certificate that it serves with, and RFC 5924 has a purpose
    of its own for that, which OpenSSL does not know.
    """
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    except (ValueError, x509.DuplicateExtension):
        return False
    return any(purpose in _USABLE for purpose in purposes)


def _common_names(certificate: x509.Certificate) -> list[str]:
    # RFC 5922 §7.1: if and only if subjectAltName does not appear in the certificate, the CN may be examined;
    # a valid DNS name that is found there may be accepted.
    try:
        values = [str(name.value) for name in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except ValueError:
        return []
    return [value.lower() for value in values if len(value) < 254 and _DNS_NAME.fullmatch(value)]


def _address(host: str) -> str | None:
    """A numeric host, in brackets or not, in the one spelling that is compared."""
    try:
        return str(ipaddress.ip_address(host.strip("[]").partition("%")[0]))
    except ValueError:
        return None
