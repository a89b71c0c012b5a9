"""The command `pillsnap`: each program registers here with one line."""

import io
import os
import sys
from pathlib import Path
from typing import NoReturn

import typer

from pillsnap.catalogue import command as catalogue
from pillsnap.cli_streams import KEPT_AS
from pillsnap.dataset import command as dataset
from pillsnap.enrol import command as enrol
from pillsnap.evaluate import command as evaluate
from pillsnap.monitor import command as monitor
from pillsnap.predict import command as predict
from pillsnap.preflight import command as preflight
from pillsnap.reproduce import command as reproduce
from pillsnap.serve import command as serve

app = typer.Typer(help="PillSnap: name pills in photographs, and look after the pipeline.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """PillSnap: name pills in photographs, and look after the pipeline."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors=KEPT_AS)


app.add_typer(dataset.app, name="data")
app.add_typer(catalogue.app, name="catalogue")
app.command()(predict.predict)
app.command()(enrol.enrol)
app.command()(evaluate.evaluate)
app.command()(serve.serve)
app.command()(preflight.doctor)
app.command()(monitor.monitor)
app.command()(reproduce.trace)
app.command()(reproduce.diff)
app.command()(reproduce.verify)


def run() -> None:
    """Run the command of `sys.argv`.

    Exits with status 2 where a package is missing, naming the extra that has it, or where the output cannot be written
    or is closed; with 141 where what read it has ended, as with `head`.
    """
    if sys.stderr is None:  # closed, as is standard output below
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (until Python ends)
    if sys.stdout is None:
        print("Standard output is closed. Send it somewhere, such as to /dev/null.", file=sys.stderr)
        sys.exit(2)
    try:
        try:
            app()
        finally:
            sys.stdout.flush()  # as Python ends, an error would be a traceback
    except SystemExit as error:
        if isinstance(error.__context__, BrokenPipeError):  # to which typer and rich give status 1
            _end_without_reader()
        raise
    except BrokenPipeError:
        _end_without_reader()
    except OSError as error:
        if error.filename:
            raise
        print(f"The output cannot be written: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        missing = (error.name or "pillsnap").partition(".")[0]
        if missing == "pillsnap":
            raise
        if missing == "onnxruntime":
            extras = 'pip install "pillsnap[cpu]", or "pillsnap[gpu]" where there is an NVIDIA GPU'
        else:
            extras = f'pip install "pillsnap[{"serve" if sys.argv[1] == "serve" else "pipeline"}]"'
        print(f"{missing} is not installed. Install what this command needs: {extras}", file=sys.stderr)
        sys.exit(2)


def _end_without_reader() -> NoReturn:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # takes what Python still buffers
    sys.exit(predict.BROKEN_PIPE)


if __name__ == "__main__":
    run()
