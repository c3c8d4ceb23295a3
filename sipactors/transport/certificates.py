"""The certificate files of one listener: read when it begins, and again whenever they have changed."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from OpenSSL.crypto import PKey
from twisted.logger import Logger

from sipactors.errors import ArgumentError

log = Logger()

LOOK_SECONDS = 1.0
"The files are looked at this often, at most."

Stamp = tuple[tuple[str, int, int, int], ...]
"Each file with its time, size and inode: what differs when it was changed or replaced."


class Certificates:
    """The TLS contexts of one listener.

    `options` are those of its description: `certFile` (the certificate, with those of its issuers after
    it), `keyFile` (the same file when missing), `caFile` (who is trusted; the system's roots when missing),
    `certDir` (further certificates, each with its key in a file DOMAIN.pem, for clients that ask for that
    domain). Raises ArgumentError, in one line, for files that cannot be used.
    """

    def __init__(self, options: Mapping[str, str], seconds: Callable[[], float]) -> None:
        self._options = options
        self._seconds = seconds
        self._looked = seconds()
        self._stamp = self._now()
        self._context, self._others = self._read()

    @property
    def context(self) -> SSL.Context:
        """What new connections are made with; changed files are read again."""
        if self._seconds() - self._looked >= LOOK_SECONDS:
            self._looked = self._seconds()
            stamp = self._now()
            if stamp != self._stamp:
                try:
                    self.reload()
                except ArgumentError as problem:
                    # Half of the files may be new: what was read before serves until all fit together.
                    log.warn("certificates stay as they were: {problem}", problem=problem)
                self._stamp = stamp
        return self._context

    def reload(self) -> None:
        """Read the files again; connections that are open stay. Raises ArgumentError and changes nothing."""
        stamp = self._now()
        self._context, self._others = self._read()
        self._stamp = stamp

    def _now(self) -> Stamp:
        rows = []
        for path in self._files():
            try:
                status = path.stat()
                rows.append((str(path), status.st_mtime_ns, status.st_size, status.st_ino))
            except OSError:
                rows.append((str(path), 0, 0, 0))
        return tuple(rows)

    def _files(self) -> list[pathlib.Path]:
        named = [self._options[name] for name in ("certFile", "keyFile", "caFile") if name in self._options]
        return [*map(pathlib.Path, named), *self._domain_files()]

    def _domain_files(self) -> list[pathlib.Path]:
        folder = self._options.get("certDir")
        return sorted(pathlib.Path(folder).glob("*.pem")) if folder is not None else []

    def _read(self) -> tuple[SSL.Context, dict[bytes, SSL.Context]]:
        options = self._options
        folder = options.get("certDir")
        if folder is not None and not pathlib.Path(folder).is_dir():
            raise ArgumentError(f"certDir: {folder} is no folder")
        others = {
            path.stem.lower().encode("ascii", "replace"): self._make("certDir", str(path), str(path))
            for path in self._domain_files()
        }
        certificate = options.get("certFile")
        context = self._make("certFile", certificate, options.get("keyFile", certificate))

        def choose(connection: SSL.Connection) -> None:
            # RFC 6066 §3: the server chooses its certificate by the name that the client asks for.
            name = connection.get_servername()
            other = others.get(name.lower()) if name is not None else None
            if other is not None:
                connection.set_context(other)

        context.set_tlsext_servername_callback(choose)
        return context, others

    def _make(self, option: str, certificate: str | None, key: str | None) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        # RFC 8996: TLS 1.0 and TLS 1.1 MUST NOT be used.
        context.set_min_proto_version(SSL.TLS1_2_VERSION)
        context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET | SSL.OP_SINGLE_ECDH_USE)
        # A resumed session would not show its certificates again.
        context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
        roots = self._options.get("caFile")
        if roots is None:
            context.set_default_verify_paths()
        else:
            _readable("caFile", roots)
            try:
                context.load_verify_locations(roots)
            except SSL.Error:
                raise ArgumentError(f"caFile: no certificate can be read from {roots}") from None
        if certificate is None or key is None:
            return context
        _readable(option, certificate)
        secret = _readable("keyFile", key)
        try:
            context.use_certificate_chain_file(certificate)
        except SSL.Error:
            raise ArgumentError(f"{option}: no certificate can be read from {certificate}") from None
        try:
            private: Any = load_pem_private_key(secret, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # TypeError: it is encrypted, and there is nobody to ask for the password.
            raise ArgumentError(f"keyFile: no key without a password can be read from {key}") from None
        try:
            try:
                context.use_privatekey(private)
            except TypeError:
                # pyOpenSSL before 24.3 wants a key of its own.
                context.use_privatekey(PKey.from_cryptography_key(private))
            context.check_privatekey()
        except SSL.Error:
            raise ArgumentError(f"keyFile: {key} is not the key of {certificate}") from None
        return context


def _readable(option: str, path: str) -> bytes:
    """What is in a file. Raises ArgumentError when it cannot be read."""
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as problem:
        raise ArgumentError(f"{option}: {path}: {problem.strerror}") from None
