"""All metadata is in pyproject.toml; this file lets tools that still call it work."""

from setuptools import setup

setup()
