"""How the command line speaks: stdout is data, stderr is talk, errors are one line and an exit code."""

from __future__ import annotations

import errno
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

from xai_ray.errors import XaiRayError

if TYPE_CHECKING:
    from xai_ray.reports import Result
    from xai_ray.reports.each_result import EachResult
    from xai_ray.reports.rows_result import RowsResult


def print_result(found: Result, output_format: str, bands: bool = False) -> None:
    """A result on stdout as table, json (with simultaneous `bands` or without), csv or arrow."""
    from xai_ray.reports.arrow import arrow_bytes
    from xai_ray.reports.rows_arrow import write_arrow
    from xai_ray.reports.rows_csv import write_rows_csv
    from xai_ray.reports.tables import result_tables, write_csv

    if output_format == "json":
        print_json(found.to_document(bands))
    elif found.texts is not None:
        _print_texts(found.texts, output_format)
    elif found.rows is not None and output_format == "csv":
        write_rows_csv(found.rows, sys.stdout)
    elif found.rows is not None and output_format == "arrow":
        write_arrow(found.rows, sys.stdout.buffer)
    elif output_format == "csv":
        write_csv(found, sys.stdout)
    elif output_format == "arrow":
        sys.stdout.buffer.write(arrow_bytes(found))
    else:
        Console().print(result_tables(found))


def _print_texts(found: EachResult, output_format: str) -> None:
    from xai_ray.reports.each_arrow import write_each_arrow
    from xai_ray.reports.each_text import each_lines, write_each_csv

    # All or nothing: half a table on stdout would look whole to who reads it.
    found.check()
    if output_format == "csv":
        write_each_csv(found, sys.stdout)
    elif output_format == "arrow":
        write_each_arrow(found.results(), sys.stdout.buffer, found.row_ids)
    else:
        for line in each_lines(found):
            typer.echo(line)


def print_overall(found: RowsResult, output_format: str) -> None:
    """What holds over all rows of a dataset on stdout, as table, json, csv or arrow."""
    from pyarrow import csv, ipc

    from xai_ray.reports.overall_tables import overall_arrow, overall_csv, overall_document, overall_tables

    if output_format == "json":
        print_json(overall_document(found))
    elif output_format == "csv":
        csv.write_csv(overall_csv(found), sys.stdout.buffer)
    elif output_format == "arrow":
        table = overall_arrow(found)
        with ipc.new_file(sys.stdout.buffer, table.schema) as writer:
            writer.write_table(table)
    else:
        Console().print(overall_tables(found))


def print_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Rows of a catalogue on stdout."""
    if as_json:
        print_json(rows)
        return
    for row in rows:
        head, *rest = row.items()
        typer.echo(head[1])
        for key, value in rest:
            typer.echo(f"    {key}: {', '.join(map(str, value)) if isinstance(value, list) else value}")


def print_json(document: Any) -> None:
    """One JSON value on stdout."""
    typer.echo(json.dumps(document, ensure_ascii=False, allow_nan=False))


def say(text: str) -> None:
    """A line on stderr."""
    typer.echo(text, err=True)


@contextmanager
def endings() -> Iterator[None]:
    """Errors as a line on stderr and an exit code."""
    try:
        yield
    except XaiRayError as error:
        say(f"xai-ray: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("xai-ray: interrupted")
        sys.exit(130)
    except BrokenPipeError:
        # The reader of stdout went away (`| head`); nothing is wrong.
        _drop_stdout()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EFBIG):
            raise
        _drop_stdout()
        say(f"xai-ray: cannot write to stdout: {error.strerror}")
        sys.exit(1)


def _drop_stdout() -> None:
    """What is still buffered would fail again when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
