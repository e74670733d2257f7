"""Start of a recording as recorders write it into the names of their files."""

from __future__ import annotations

import re
from datetime import datetime

from babyhubert.timebase import SAMPLE_RATE

FROM_NAMES = "from-names"
"""Word in place of a table of start times: take them from the names of the files."""

_SEPARATE = r"[-_.: ]?"
_LONG = re.compile(
    rf"(?<!\d)(?P<date>(?:19|20)\d\d-\d\d-\d\d|(?:19|20)\d\d_\d\d_\d\d|(?:19|20)\d{{6}})[T_ -]?"
    rf"(?P<hour>\d\d){_SEPARATE}(?P<minute>\d\d)(?:{_SEPARATE}(?P<second>\d\d))?(?!\d)"
)
"""20210510_180000 (AudioMoth, LENA), 20210510180000, 2021-05-10T18:00:00, 2021-05-10_18-00, 2021-05-10 18.00.00."""
_SHORT = re.compile(r"(?<!\d)(?P<date>\d{6})[_-](?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)?(?!\d)")
"""210510_1800 and 210510-180000 (Sony, Olympus): year without century first."""


def start_in_name(name: str) -> int | None:
    """Samples since midnight of the first date with a time of day in a file's name; None if it has none.

    The date must be one of the calendar, so that other numbers are not taken for times.
    """
    for pattern, form in ((_LONG, "%Y%m%d"), (_SHORT, "%y%m%d")):
        for match in pattern.finditer(name):
            date = re.sub(r"\D", "", match["date"])
            hour, minute, second = (int(match[part] or 0) for part in ("hour", "minute", "second"))
            if _is_date(date, form) and hour < 24 and minute < 60 and second < 60:
                return ((hour * 60 + minute) * 60 + second) * SAMPLE_RATE
    return None


def _is_date(digits: str, form: str) -> bool:
    try:
        datetime.strptime(digits, form)
    except ValueError:
        return False
    return True
