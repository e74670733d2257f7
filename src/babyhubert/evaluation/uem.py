"""UEM files are read by :mod:`babyhubert.annotation.uem`; training needs them as well."""

from babyhubert.annotation.uem import read_uem

__all__ = ["read_uem"]
