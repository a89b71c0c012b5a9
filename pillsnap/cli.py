"""The command `pillsnap`: each program registers here with one line."""

import typer

from pillsnap.dataset import command as dataset
from pillsnap.monitor import command as monitor
from pillsnap.predict import command as predict
from pillsnap.preflight import command as preflight
from pillsnap.reproduce import command as reproduce
from pillsnap.serve import command as serve

app = typer.Typer(help="PillSnap: name pills in photographs, and look after the pipeline.", no_args_is_help=True)


@app.callback()
def main() -> None:
    """PillSnap: name pills in photographs, and look after the pipeline."""


app.add_typer(dataset.app, name="data")
app.command()(predict.predict)
app.command()(serve.serve)
app.command()(preflight.doctor)
app.command()(monitor.monitor)
app.command()(reproduce.trace)
app.command()(reproduce.diff)
app.command()(reproduce.verify)

if __name__ == "__main__":
    app()
