"""The suite for pytest."""

import os
import subprocess

import pytest


def suite(name):
    subprocess.run([os.environ["SUITE"], name], check=True)


@pytest.mark.parametrize("name", ["one", "two", "three", "double_free", "overflow", "child"])
def test_good(name):
    suite(name)


@pytest.mark.xfail(strict=True)
@pytest.mark.parametrize("name", ["fails_with_bug", "fails"])
def test_to_fail(name):
    suite(name)
