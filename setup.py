"""The compiled part, without which everything works as well; the rest is in setup.cfg."""

from setuptools import Extension, setup

setup(ext_modules=[Extension("mtnet.net._send", ["mtnet/net/_send.c"], optional=True)])
