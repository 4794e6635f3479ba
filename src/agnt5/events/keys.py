"""The identity of an operation: a place in the body, fixed at the moment of the call.

A key is ``BRANCH:NAME#OCCURRENCE``. The branch is the path of tasks that leads to the caller
(empty for the body itself, ``/0/2`` for the third task of its first task), the occurrence counts
calls of that name in that branch. A call inside an inline step lives in the scope of that step:
``OUTERKEY>BRANCH:NAME#OCCURRENCE``, one of the handler of an update in the branch ``!UPDATE_ID``.
In names ``>`` is written ``%3E``, and ``%`` is written ``%25``. How branches interleave can never
change a key.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote, unquote

from agnt5.exceptions import InvalidInputError

LONGEST_KEY = 4096
"""Characters of a key, so that each can be recorded, exported and imported."""
SCOPE = ">"
RECOVERY = "?recovery"
_UPDATE = "!"


def operation_key(branch: str, name: str, occurrence: int) -> str:
    """The key of the call number ``occurrence`` of ``name`` in a branch.

    >>> operation_key("/0", "charge", 2)
    '/0:charge#2'
    >>> operation_key("", "a>b", 0)
    ':a%3Eb#0'
    """
    return _bounded(f"{branch}:{_escaped(name)}#{occurrence}")


def chosen_key(branch: str, name: str, key: str) -> str:
    """The key of a call to which the user gave one; the same in every branch of its scope.

    >>> chosen_key("/0", "charge", "order-7")
    '@charge:order-7'
    >>> chosen_key(":plan#0>/1", "charge", "order-7")
    ':plan#0>@charge:order-7'
    """
    return _bounded(f"{branch[: branch.rfind(SCOPE) + 1]}@{_escaped(name)}:{_escaped(key)}")


def _bounded(key: str) -> str:
    if len(key) > LONGEST_KEY:
        msg = (
            f"the place of a durable call may take {LONGEST_KEY} characters, and this one takes"
            f" {len(key)}: {key[:60]!r}... Use shorter names, or nest less."
        )
        raise InvalidInputError(msg)
    return key


def _escaped(name: str) -> str:
    if "%" in name or SCOPE in name:
        return name.replace("%", "%25").replace(SCOPE, "%3E")
    return name


def child_branch(branch: str, index: int) -> str:
    """The branch of the task number ``index`` that a branch has made."""
    return f"{branch}/{index}"


def update_branch(update_id: str) -> str:
    """The branch of the handler of an update: named by its id, whatever else the body does.

    >>> update_branch("order-7/2")
    '!order-7%2F2'
    """
    return _UPDATE + quote(update_id, safe="")


def is_of_update(key: str) -> bool:
    """Whether a call was made by the handler of an update."""
    return key.startswith(_UPDATE)


def batch_branch(branch: str, name: str, occurrence: int) -> str:
    """The branch of the items of the batch number ``occurrence`` over a function.

    >>> operation_key(batch_branch("/0", "fetch", 1), "fetch", 7)
    '/0/batch:fetch@1:fetch#7'
    """
    return f"{branch}/batch:{_escaped(name)}@{occurrence}"


def may_call(key: str, branch: str) -> bool:
    """Whether this call can come of a task of this branch, or of what that may still begin.

    >>> may_call("/0:fetch#0", "/0"), may_call("/0/1:fetch#0", "/0"), may_call("/01:f#0", "/0")
    (True, True, False)
    >>> may_call("/0:plan#0>:fetch#0", "/0"), may_call(":plan#0>:fetch#0", ":plan#0>")
    (True, True)
    >>> may_call("@charge:order-7", "/0"), may_call(":plan#0>@charge:order-7", "/0")
    (True, False)
    """
    if key.startswith(branch) and (branch.endswith(SCOPE) or key[len(branch)] in ":/"):
        return True
    return key.startswith(f"{branch[: branch.rfind(SCOPE) + 1]}@")


def scope_of(key: str) -> str:
    """The branch in which an inline step's own durable calls live."""
    return key + SCOPE


_PLACE = re.compile(r"(?:!.*?)?(?:/batch:.+?@[0-9]+|/[0-9]+)*:(.*)#[0-9]+", re.DOTALL)


def name_of(key: str | None) -> str | None:
    """The name of the call that has this key; of the engine's question, that of its step.

    >>> name_of("/0/2:charge#1"), name_of(":plan#0>@charge:order-7"), name_of("?recovery#0:pay#1")
    ('charge', 'charge', 'pay')
    """
    if key is None:
        return None
    key = re.sub(rf"^{re.escape(RECOVERY)}#[0-9]+", "", key)
    last = key[key.rfind(SCOPE) + 1 :]
    if last.startswith("@"):
        return unquote(last[1:].partition(":")[0])
    place = _PLACE.fullmatch(last)
    return unquote(place[1]) if place else None


def is_inside(key: str) -> bool:
    """Whether a call was made inside an inline step.

    >>> is_inside(":plan#0"), is_inside(":plan#0>:fetch#0")
    (False, True)
    """
    return SCOPE in key


def recovery_key(key: str, attempt: int) -> str:
    """The key of the question what became of an attempt whose outcome a crash has hidden.

    No call of a body can have it: those begin with ``:``, ``/`` or ``@``.
    """
    return f"{RECOVERY}#{attempt}{key}"


def enclosing_keys(key: str) -> list[str]:
    """Keys that may be of inline steps around this one, the outermost first.

    >>> enclosing_keys(":plan#0>/1:fetch#0")
    [':plan#0']
    """
    found: list[str] = []
    at = key.find(SCOPE)
    while at != -1:
        found.append(key[:at])
        at = key.find(SCOPE, at + 1)
    return found


def derived_bytes(run_id: str, key: str) -> bytes:
    """32 bytes that look like chance and are the same on every replay: of a run and a place.

    A stable contract, as :func:`idempotency_key` is: a run under way must see the same again.
    """
    return hashlib.sha256(f"derived\n{run_id}\n{key}".encode()).digest()


def derived_fraction(run_id: str, key: str) -> float:
    """A number from 0, included, to 1, excluded, with every bit that a float between them has.

    >>> 0 <= derived_fraction("run-1", ":random#0") < 1
    True
    """
    return (int.from_bytes(derived_bytes(run_id, key)[:8]) >> 11) * 2.0**-53


def idempotency_key(run_id: str, key: str) -> str:
    """What a step shows to the outside world: the same in every attempt and after every crash.

    32 lower-case hex digits, so that it fits the services that take one. A stable contract:
    changing it would repeat effects of runs that are under way.
    """
    return hashlib.sha256(f"{run_id}\n{key}".encode()).hexdigest()[:32]


_LONGEST_PREFIX = 80


def successor_run_id(chain: str, link: int) -> str:
    """The id of the run that a chain of runs goes on as: its link of this number, from 1 on.

    It begins with that of the first run and sorts by the number, so that lists show a chain in its
    order. A stable contract, as the ids of children are.

    >>> successor_run_id("order-7", 1)
    'order-7.000001ebea8f62d46041'
    """
    unique = hashlib.sha256(f"{chain}\n{link}\nchain".encode()).hexdigest()[:14]
    return f"{chain[:_LONGEST_PREFIX]}.{link:06x}{unique}"


def child_run_id(run_id: str, key: str) -> str:
    """The id of the run that a call starts: the same on every pass and after every crash.

    It begins with its parent's, so that lists show the two together, and with children of children
    it does not grow without end. A stable contract, like :func:`idempotency_key`.

    >>> child_run_id("order-7", ":child:pay#0")
    'order-7.36c46fc14e0be33067ab'
    """
    unique = hashlib.sha256(f"{run_id}\n{key}\nchild".encode()).hexdigest()[:20]
    return f"{run_id[:_LONGEST_PREFIX]}.{unique}"
