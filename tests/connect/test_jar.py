"""A Connect server that has the extension's jar: its statements are rewritten like those of any other server."""

from __future__ import annotations

from pathlib import Path

import sparkllm
from sparkllm.optimizer.jar import build_jar
from sparkllm.plain_session import ready
from tests.connect.counted import Counted
from tests.connect.server import connect, connect_server

EXTENSION = "sparkllm.catalyst.SparkLLMExtensions"
QUERY = "SELECT ai_translate(x, 'fr') AS a, llm_agg('What?', x) AS b FROM VALUES ('good') AS t(x) GROUP BY x"


def test_all_functions_are_asked_from_here_where_the_server_has_the_jar(tmp_path: Path, counted: Counted) -> None:
    jar = {"spark.jars": str(build_jar()), "spark.sql.extensions": EXTENSION}
    with connect_server(tmp_path, **jar) as url:
        session = connect(url)
        try:
            ready(session, counted.function())
            assert session.catalog.functionExists("ai_translate")
            rows = sparkllm.sql(session, QUERY).collect()
        finally:
            session.stop()
    assert [tuple(row) for row in rows] == [("GOOD", '["GOOD"]')]
    assert len(counted.asked()) == 2
