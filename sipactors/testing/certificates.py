"""Certificates for tests, made on the spot: an authority, and what it signs, well or badly."""

from __future__ import annotations

import datetime
import ipaddress
import pathlib
from collections.abc import Sequence
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BEGIN = datetime.datetime(2020, 1, 1)
"OpenSSL judges certificates by the real clock, whatever a test's clock says: they begin long ago …"
END = datetime.datetime(2049, 1, 1)
"… and end far away."
EXPIRED = datetime.datetime(2021, 1, 1)
"The end of a certificate that is valid no more."


class Authority:
    """An authority, its own certificate in the file `path`; `issue` signs others. Needs sipactors[tls]."""

    def __init__(self, folder: pathlib.Path, name: str = "Test Authority") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(self._name, self._key, [], BEGIN, END, authority=True)
        self.path = folder / "authority.pem"
        self.path.write_bytes(_pem(self.certificate))

    def issue(
        self,
        name: str,
        *names: str,
        cn: str | None = None,
        end: datetime.datetime = END,
        begin: datetime.datetime = BEGIN,
        self_signed: bool = False,
        purposes: Sequence[str] = (),
    ) -> pathlib.Path:
        """Make a certificate with its key, both in the file `NAME.pem` of the folder; gives its path.

        `names` are DNS names, addresses, or URIs with a scheme; without any the certificate has no
        subjectAltName, and its CN is `cn`. `purposes` are OIDs for the extended key usage.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, cn or name)])
        own_key = key if self_signed else None
        certificate = self._sign(subject, key, names, begin, end, purposes=purposes, own_key=own_key)
        path = self.folder / f"{name}.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        path.write_bytes(_pem(certificate) + private)
        return path

    def _sign(
        self,
        subject: x509.Name,
        key: Any,
        names: Sequence[str],
        begin: datetime.datetime,
        end: datetime.datetime,
        *,
        authority: bool = False,
        purposes: Sequence[str] = (),
        own_key: Any = None,
    ) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if own_key is not None else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begin)
            .not_valid_after(end)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if purposes:
            usage = x509.ExtendedKeyUsage([*map(x509.ObjectIdentifier, purposes)])
            builder = builder.add_extension(usage, critical=False)
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([*map(_general, names)]), critical=False
            )
        return builder.sign(own_key or self._key, hashes.SHA256())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.UniformResourceIdentifier(name) if ":" in name else x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
