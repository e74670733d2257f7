"""Characters that a format cannot hold, written as ``%XX``, as in web addresses.

Labels come from models and from other people's files. A line feed in one would begin a line of its own in an RTTM
file, a blank would end the field, a control character makes an .eaf that no program opens. Such a character is written
as the bytes of its UTF-8 code (a blank is ``%20``), a ``%`` as ``%25`` where it would be taken for the beginning of
one, and both are read back. All other texts are written as they are.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_CONTROL = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
CONTROL = re.compile(f"[{_CONTROL}]")
"""Control characters, ends of lines, and codes that are no characters: what labels in CSVs and names of tiers lack."""

BLANK = re.compile(f"[{_CONTROL}\\s]")
"""These and white space: what a field of an RTTM line lacks."""

NOT_XML = re.compile("[\\x00-\\x08\\x0b-\\x1f\\ud800-\\udfff\\ufffe\\uffff]")
"""What an XML file cannot hold, and carriage returns, which it gives back as line feeds: transcriptions lack it."""

_ESCAPED = re.compile("(?:%[0-9A-F]{2})+")
_LIKE_AN_ESCAPE = re.compile("%(?=[0-9A-F]{2})")


def escape(text: str, forbidden: re.Pattern[str]) -> str:
    """A text without the characters of a pattern; :func:`unescape` with the same pattern gives it back."""
    text = _LIKE_AN_ESCAPE.sub("%25", text)
    return forbidden.sub(lambda found: "".join(f"%{b:02X}" for b in found[0].encode("utf-8", "surrogatepass")), text)


def unescape(text: str, forbidden: re.Pattern[str]) -> str:
    """The text that :func:`escape` was given; what stands for a character that is allowed is left as it is."""
    return _ESCAPED.sub(lambda found: _decoded(found[0], forbidden), text) if "%" in text else text


def _decoded(escaped: str, forbidden: re.Pattern[str]) -> str:
    try:
        text = unquote_to_bytes(escaped).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return escaped
    return text if all(one == "%" or forbidden.fullmatch(one) for one in text) else escaped
