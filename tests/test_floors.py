"""An import goes only downwards, or to a file listed above it in its own package."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator

import sipactors

PACKAGE = pathlib.Path(sipactors.__file__).parent

# The floors from the ground up, with the files of each package: a file imports only what stands before it.
# Packages on one floor do not import each other.
FLOORS: list[dict[str, str]] = [
    {"": "errors settings", "interfaces": "wire requests application calls"},
    {
        "message": """values grammar status uri_params sip_uri tel_uri uri address via cseq parameterized
            media events timing reasons references identity fields credentials registry headers
            message build parser framing multipart elements"""
    },
    {
        "sdp": """fields attributes grammar section media reading session streams answering negotiated
            offer_answer""",
        "auth": "digest nonce aka challenges session outcomes verifier",
        "events": "packages xml presence dialog_info reg_info message_summary sipfrag",
    },
    {"": "dice metrics actor trace pcap hep timers"},
    {
        "transport": """named flow description keepalive marking sockets udp stream connections certificates
            identities tls websocket_flow websocket secure_websocket kinds layer""",
        "locating": "records targets resolver cache failures locator",
    },
    {"transaction": "keys lanes invite_client client invite_server server dispatcher attempt"},
    {
        "dialog": """dialog table usage offers glare redirects acceptance reliable session_timer
            answering prack calling inviting making invite replaces subscription subscribed
            awaited subscribe referral refer notify"""
    },
    {
        "client": """capabilities contacts inspection security logins challenges digest protection served
            transactions backoff refresh refreshed publication registrar registrations registering binding
            outcomes registration fetch routing access stack client observers standalone waiting
            connection"""
    },
    {
        "ua": """waiting dtmf media observers progress transfer talking call account subscription messaging
            incoming service agent""",
        "services": "bindings registrar response_context proxy pidf presence back_to_back",
    },
    {"storage": "memory sqlite redis"},
    {"twistd": "common answering agent registrar proxy"},
]
PLACES = {
    ".".join(filter(None, ("sipactors", package, file))): (floor, package, number)
    for floor, packages in enumerate(FLOORS)
    for package, files in packages.items()
    for number, file in enumerate([*files.split(), ""] if package else files.split())
}
PURE = ("message", "sdp", "auth", "events")
"Packages that know nothing of Twisted."


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Each module that is imported, those under TYPE_CHECKING aside, with its line."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(other)
        elif isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                whole = f"{base}.{alias.name}"
                yield node.lineno, whole if whole in PLACES else base
        else:
            yield from imports(node)


def faults(module: str, source: str) -> Iterator[str]:
    """What is wrong with the imports of one module."""
    testing = module.startswith("sipactors.testing")
    if module not in PLACES and not testing and module != "sipactors":
        yield f"{module} is not listed in tests/test_floors.py"
        return
    floor, package, number = PLACES.get(module, (len(FLOORS), "testing", 0))
    for line, name in imports(ast.parse(source)):
        where = f"{module}:{line} imports {name}"
        top = name.split(".")[0]
        if top == "":
            yield f"{where}: write the whole name"
        elif top == "twisted" and (floor == 0 or package in PURE):
            yield f"{where}: this floor is pure"
        elif top == "sipactors" and name != "sipactors" and not testing:
            there = PLACES.get(name, (len(FLOORS), "testing", 0))
            downwards = there[0] < floor or (there[:2] == (floor, package) and there[2] < number)
            # Stores are handed in: only a command line may choose one.
            if not downwards or (there[1] == "storage" and package not in ("twistd", "storage")):
                yield f"{where}: not downwards"


def test_every_import_goes_downwards() -> None:
    """An import goes only downwards, or to a file listed above it in its own package."""
    found: list[str] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found += dict.fromkeys(faults(module, path.read_text()))
    assert not found, "\n".join(found)


def test_an_import_that_climbs_is_found() -> None:
    """Imports upwards, sideways, of a file listed below, a store, Twisted on a pure floor: all found."""
    assert list(faults("sipactors.message.uri", "import sipactors.client.stack"))
    assert list(faults("sipactors.message.uri", "from sipactors.message import parser"))
    assert list(faults("sipactors.message.uri", "def f():\n    from twisted.internet import defer"))
    assert list(faults("sipactors.message.uri", "from .values import x"))
    assert list(faults("sipactors.transport.udp", "from sipactors.locating.targets import Target"))
    assert list(faults("sipactors.services.registrar", "from sipactors.storage.memory import Store"))
    assert list(faults("sipactors.services.registrar", "from sipactors.testing import Clock"))
    assert list(faults("sipactors.nowhere", ""))
    assert not list(faults("sipactors.message.uri", "from sipactors.message.values import x"))
    assert not list(faults("sipactors.message", "from sipactors.message.framing import Framer"))
    assert not list(faults("sipactors.client.stack", "from sipactors.message import Request\nimport twisted"))
    climbing = "if TYPE_CHECKING:\n    import sipactors.client\nelse:\n    import sipactors.errors"
    assert not list(faults("sipactors.message.uri", climbing))
