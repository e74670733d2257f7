"""Escapes for characters that a format cannot hold: ``%XX``, as in web addresses.

Labels come from models and from files of other tools. A line feed in one would begin a new line in an RTTM file, a
blank would end the field, and a control character makes an .eaf that no program opens. Such a character is written as
the bytes of its UTF-8 code (a blank is ``%20``), and a ``%`` as ``%25`` if it would be read as the beginning of an
escape; both are read back. All other texts are written unchanged.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
CONTROL = re.compile(f"[{_CONTROL}]")
"""Control characters, line ends, and invalid code points, which labels in CSVs and names of tiers must not contain."""

BLANK = re.compile(f"[{_CONTROL}\\s]")
"""The same and white space, which a field of an RTTM line must not contain."""

NOT_XML = re.compile("[\\x00-\\x08\\x0b-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
"""Characters that an XML file cannot hold, and carriage returns, which it turns into line feeds."""

_ESCAPED = re.compile("(?:%[0-9A-F]{2})+")
_LIKE_AN_ESCAPE = re.compile("%(?=[0-9A-F]{2})")


def escape(text: str, forbidden: re.Pattern[str]) -> str:
    """Escape the characters of a pattern in a text; :func:`unescape` with the same pattern restores it."""
    text = _LIKE_AN_ESCAPE.sub("%25", text)
    return forbidden.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode("utf-8", "surrogatepass")), text)


def unescape(text: str, forbidden: re.Pattern[str]) -> str:
    """Restore the text that was given to :func:`escape`; escapes of allowed characters are left unchanged."""
    return _ESCAPED.sub(lambda found: _decoded(found[0], forbidden), text) if "%" in text else text


def _decoded(escaped: str, forbidden: re.Pattern[str]) -> str:
    try:
        text = unquote_to_bytes(escaped).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return escaped
    return text if all(one == "%" or forbidden.fullmatch(one) for one in text) else escaped
