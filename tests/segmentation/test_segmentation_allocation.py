"""Freed memory is kept where that can be asked for, and nothing breaks where it cannot."""

import platform
import sys

from segmentation.allocation import keep_memory


def test_it_is_asked_for_with_glibc_and_nowhere_else(monkeypatch):
    keep_memory.cache_clear()
    if platform.libc_ver()[0] == "glibc":
        assert keep_memory()
    keep_memory.cache_clear()
    monkeypatch.setattr(sys, "platform", "win32")
    assert not keep_memory()
    keep_memory.cache_clear()
