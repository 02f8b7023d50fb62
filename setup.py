"""The compiled parts, without which everything works as well; the rest is in setup.cfg."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension("mtnet.net._receive", ["mtnet/net/_receive.c"], optional=True),
        Extension("mtnet.net.output._send", ["mtnet/net/output/_send.c"], optional=True),
    ]
)
