"""The access log has the usual format, and nobody else's lines."""

from __future__ import annotations

import logging
import re

from httpends import answering, serving

LINE = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET (\S+) HTTP/1\.1" '
    r'(\d+) (\d+) "(.*)" "(.*)" \d+\.\d{3}'
)


async def test_a_line_for_each_answer(caplog):
    with caplog.at_level(logging.INFO, "gopark.http.access"):
        async with serving(answering(), access_log=True) as connect, connect() as client:
            await client.get("/a?b=c", "User-Agent: me", "Referer: http://x/")
            await client.get('/"', 'User-Agent: a" b \x80')
            await client.get("/")
    lines = [LINE.fullmatch(one.getMessage()).groups() for one in caplog.records]
    assert lines[0] == ("/a?b=c", "200", "5", "http://x/", "me")
    assert lines[1] == ("/\\x22", "200", "5", "-", "a\\x22 b \\xc2\\x80")


async def test_there_is_none_unless_it_is_asked_for(caplog):
    with caplog.at_level(logging.INFO, "gopark.http.access"):
        async with serving(answering()) as connect, connect() as client:
            await client.get("/")
    assert not [one for one in caplog.records if one.name == "gopark.http.access"]
