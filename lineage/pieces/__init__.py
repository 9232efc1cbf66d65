"""Pieces of work: what is done once is kept on disk, and goes on from there, on one machine or on many."""

from .digest import digest, digest_of_array, digest_of_columns, digest_of_file, digest_of_weights
from .holding import held
from .resources import Resources, bytes_of
from .spreading import spreading
from .store import Note, Store
from .tasks import Spread, all_done, here

__all__ = [
    "Note",
    "Resources",
    "Spread",
    "Store",
    "all_done",
    "bytes_of",
    "digest",
    "digest_of_array",
    "digest_of_columns",
    "digest_of_file",
    "digest_of_weights",
    "held",
    "here",
    "spreading",
]
