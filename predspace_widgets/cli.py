"""The `predspace` command."""

from __future__ import annotations

import csv
import logging
import re
import sys
import warnings
import webbrowser
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from predspace_widgets.extras import MissingExtraError, needs

if TYPE_CHECKING:
    import xarray as xr

    from predspace_widgets.explorers.trainings import Trainings
    from predspace_widgets.training import Recipe

app = typer.Typer(
    help="See and measure how deep networks learn: trajectories in prediction space.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
_console = Console()
_errors = Console(stderr=True)

_MAX_SIZE = typer.Option(help="Memory that opening a dataset may need, in MB; without it, 1,074.", min=1)
_PORT = typer.Option(help="Port to listen on.", min=1, max=65535)
_LOGIN, _OAUTH = "Who sees it", "Login by a provider of OAuth, as `panel serve` has it"
_ADDRESS = typer.Option(help="Address to listen on: 0.0.0.0 lets other machines in.", rich_help_panel=_LOGIN)
_ALLOW_HOST = typer.Option(
    help="NAME or NAME:PORT that it is also reached under, such as that of a proxy; again for more.",
    rich_help_panel=_LOGIN,
)
_FRAME = typer.Option(
    help="Origin (https://NAME) whose pages may show it in a frame; again for more.", rich_help_panel=_LOGIN
)
_PASSWORD = typer.Option(
    help="Password that it asks for; others on this machine may see it among the processes.",
    envvar="PREDSPACE_PASSWORD",
    rich_help_panel=_LOGIN,
)
_PASSWORD_FILE = typer.Option(help="File whose first line is the password.", rich_help_panel=_LOGIN)
_NO_LOGIN = typer.Option("--no-login", help="Let everybody in who reaches the address.", rich_help_panel=_LOGIN)
_COOKIE_SECRET = typer.Option(
    help="What logins are signed with, instead of a secret that is kept for you.",
    envvar="PANEL_COOKIE_SECRET",
    rich_help_panel=_LOGIN,
)
_ALLOW_USER = typer.Option(
    help="Let this user of the provider in, and no other; again for more.", rich_help_panel=_OAUTH
)
_PROVIDER = typer.Option(help="Who knows the users, such as github.", rich_help_panel=_OAUTH)
_KEY = typer.Option(help="What the provider calls this server.", envvar="PANEL_OAUTH_KEY", rich_help_panel=_OAUTH)
_SECRET = typer.Option(help="Its secret.", envvar="PANEL_OAUTH_SECRET", rich_help_panel=_OAUTH)
_REDIRECT = typer.Option(help="Where the provider sends visitors back to.", rich_help_panel=_OAUTH)
_ENCRYPTION = typer.Option(
    help="Encrypts what the provider tells, in cookies.", envvar="PANEL_OAUTH_ENCRYPTION", rich_help_panel=_OAUTH
)


@app.command()
def serve(
    data: Annotated[
        list[str] | None,
        typer.Argument(help="Datasets to show; demo and sweep ship with the package; the demo when none is named."),
    ] = None,
    port: Annotated[int, _PORT] = 5006,
    address: Annotated[str, _ADDRESS] = "localhost",
    show: Annotated[bool, typer.Option("--show", help="Open a browser.")] = False,
    together: Annotated[bool, typer.Option("--together", help="Show all datasets as one, in one picture.")] = False,
    allow_training: Annotated[
        bool, typer.Option("--allow-training", help="Whoever sees the page can train networks of built-in recipes.")
    ] = False,
    trained: Annotated[Path, typer.Option(help="Where these are recorded.")] = Path("trained"),
    num_procs: Annotated[int, typer.Option(help="Processes that serve it, which follow no recording.", min=1)] = 1,
    cache: Annotated[
        Path | None, typer.Option(help="Folder for what is measured ahead, for the next start and other processes.")
    ] = None,
    prefix: Annotated[str, typer.Option(help="Path under which a proxy passes all on.")] = "",
    present: Annotated[
        bool, typer.Option("--present", help="Open as a lecture; on the demo, the talk that ships with it.")
    ] = False,
    scenes: Annotated[
        Path | None, typer.Option(help="YAML list of what a lecture on the first dataset shows (key P).")
    ] = None,
    allow_host: Annotated[list[str] | None, _ALLOW_HOST] = None,
    frame_ancestor: Annotated[list[str] | None, _FRAME] = None,
    password: Annotated[str | None, _PASSWORD] = None,
    password_file: Annotated[Path | None, _PASSWORD_FILE] = None,
    no_login: Annotated[bool, _NO_LOGIN] = False,
    cookie_secret: Annotated[str | None, _COOKIE_SECRET] = None,
    oauth_provider: Annotated[str | None, _PROVIDER] = None,
    oauth_key: Annotated[str | None, _KEY] = None,
    oauth_secret: Annotated[str | None, _SECRET] = None,
    oauth_redirect_uri: Annotated[str | None, _REDIRECT] = None,
    oauth_encryption_key: Annotated[str | None, _ENCRYPTION] = None,
    allow_user: Annotated[list[str] | None, _ALLOW_USER] = None,
    max_size: Annotated[int | None, _MAX_SIZE] = None,
) -> None:
    """Open the explorer as a page, which follows datasets that are being recorded."""
    from predspace_widgets.explorers.access import Access
    from predspace_widgets.explorers.login import OAuth, login_of
    from predspace_widgets.explorers.page import make_server
    from predspace_widgets.explorers.processes import inherited, serve_in_processes
    from predspace_widgets.trajectories import open_trajectories

    oauth = OAuth(oauth_provider, oauth_key, oauth_secret, oauth_redirect_uri, oauth_encryption_key, allow_user)
    login = login_of(address, password, password_file, no_login, cookie_secret, oauth)
    access = Access(address, allow_host or (), frame_ancestor or (), login)
    paths = [_path_of(name) for name in data or ["demo"]]
    names = [_short_name(name) for name in data or paths]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled and not together:
        raise ValueError(f"two datasets are named {doubled.pop()!r}: rename one of the files")
    allowed = {} if max_size is None else {"max_bytes": max_size * 10**6}
    opened = [open_trajectories(path, **allowed) for path in paths]
    if together:
        names, opened = [" + ".join(names)], [_joined(opened, names)]
    datasets = dict(zip(names, opened, strict=True))
    talk, why_none = _talk(opened[0], scenes, present)

    def say_address() -> None:
        there = f"http://{address}:{port}{'/' if prefix else ''}{prefix.strip('/')}"
        _console.print(f"The explorer is at [bold]{escape(there)}[/]  (Ctrl-C ends it)", highlight=False)
        if show:
            webbrowser.open(there)

    def warn() -> None:
        for warning in access.warnings():
            _errors.print(f"[bold red]warning:[/] {escape(warning)}", highlight=False, soft_wrap=True)

    sockets = inherited()
    if why_none and not sockets:
        _errors.print(f"[yellow]no scenes:[/] {escape(why_none)}", highlight=False, soft_wrap=True)
    if num_procs > 1 and not sockets:
        _check_one_place(paths, allow_training)
        warn()
        raise typer.Exit(serve_in_processes(sys.argv[1:], num_procs, port, address, cache, say_address))
    trainings = _trainings(trained) if allow_training else None
    server = make_server(datasets, port, address, trainings, access, prefix, cache, sockets, talk, present)
    if not sockets:
        warn()
        say_address()
    server.run_until_shutdown()
    # What is still being measured fails once Python ends its threads, and nobody waits for it: none of us says so.
    logging.getLogger("predspace_widgets").setLevel(logging.CRITICAL + 1)


def _trainings(folder: Path) -> Trainings:
    """What starts trainings; where torch is not installed, what says so here and on the pages."""
    from predspace_widgets.explorers.trainings import NoTrainings

    try:
        with needs("training"):
            from predspace_widgets.training.launch import Launcher
    except MissingExtraError as error:
        _errors.print(f"[bold red]warning:[/] {escape(str(error))}", highlight=False, soft_wrap=True)
        return NoTrainings(error)
    return Launcher(folder)


def _talk(ds: xr.Dataset, path: Path | None, present: bool) -> tuple[list[dict[str, Any]], str]:
    """The scenes of a lecture, and why there are none."""
    from predspace_widgets.analysis import analysis_of
    from predspace_widgets.explorers.scenes import SHIPPED, scenes_of
    from predspace_widgets.explorers.session import Session
    from predspace_widgets.trajectories.demo import is_demo

    if path is None and not present:
        return [], ""
    if path is None and not is_demo(ds):
        return [], "the talk that ships is about the demo; --scenes FILE gives one of your own, else one card is shown"
    analysis = analysis_of(ds)
    return scenes_of(path or SHIPPED, analysis, Session(analysis).views), ""


def _check_one_place(paths: list[str], allow_training: bool) -> None:
    """Raise ValueError for what is in one process alone: visitors come to another one each time."""
    import fsspec

    from predspace_widgets.trajectories.recording import recording_at
    from predspace_widgets.trajectories.source import is_local

    if allow_training:
        raise ValueError("--allow-training needs a single process: leave out --num-procs")
    for path in paths:
        if is_local(path) and recording_at(fsspec.url_to_fs(path)[1]) == "recording":
            raise ValueError(f"{path} is being recorded, which one process alone can follow: leave out --num-procs")


@app.command()
def record(
    recipe: Annotated[str | None, typer.Argument(help="A recipe's name or the path of a recipe file.")] = None,
    out: Annotated[Path | None, typer.Option(help="Dataset to write: .zarr.zip, .zarr or .nc.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Number of seeds, from 0, instead of the recipe's.", min=1)] = None,
    workers: Annotated[
        int | None, typer.Option(help="Number of processes; one a core, or one without the extra cluster.", min=1)
    ] = None,
    scheduler: Annotated[str | None, typer.Option(help="Address of a Dask scheduler whose workers train.")] = None,
    device: Annotated[str | None, typer.Option(help="Where to train, cpu or cuda, instead of the recipe's.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT where it is there already.")] = False,
    list_recipes: Annotated[bool, typer.Option("--list", help="Name the built-in recipes, and end.")] = False,
) -> None:
    """Train the networks of a recipe and record their predictions.

    Finished runs are kept in a folder beside OUT until all are there: the same command again goes on where it ended.
    Ctrl-C (exit code 130) and SIGTERM (143) stop it.
    """
    with needs("recording"):
        from predspace_widgets.training.recipe import built_in_recipes, load_recipe
    from predspace_widgets.trajectories import check_path
    from predspace_widgets.trajectories.divergence import diverged

    if list_recipes:
        for name, title in built_in_recipes().items():
            _console.print(f"[bold]{name:<18}[/]{escape(title)}", highlight=False, soft_wrap=True)
        return
    if recipe is None or out is None:
        raise ValueError("name a recipe and what to write: predspace record RECIPE --out DATA (--list names recipes)")
    plan = load_recipe(recipe)
    plan = replace(plan, seeds=tuple(range(seeds)) if seeds else plan.seeds, device=device or plan.device)
    check_path(out)
    if out.exists() and not overwrite:
        raise FileExistsError(f"{out} is there already: choose another name, or replace it with --overwrite")
    ds = _record(plan, out, overwrite, workers, scheduler)
    names = set(ds["run"].values.tolist())
    for name, reason in diverged(ds).items():
        what = "is recorded up to there" if name in names else "is not recorded"
        _errors.print(f"[yellow]diverged:[/] {escape(f'{name} {what}: {reason}')}", highlight=False, soft_wrap=True)
    _console.print(f"{len(names)} runs recorded in {escape(str(out))}", highlight=False)


def _record(plan: Recipe, out: Path, overwrite: bool, workers: int | None, scheduler: str | None) -> xr.Dataset:
    """Record a recipe with a progress bar, and say what stays behind."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from predspace_widgets.training import folder_of_runs, record_to

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    bar = Progress(*columns, console=_errors)
    with ExitStack() as shown:  # the bar from the first progress on: an error before it is a line alone

        def on_progress(run: str, done: int, total: int) -> None:
            if not bar.task_ids:
                shown.enter_context(bar)
                bar.add_task("starting", total=None)
                return
            description = escape(run) or (f"{done} recorded before" if done else "training")
            bar.update(bar.task_ids[0], description=description, completed=done, total=total)

        try:
            ds = record_to(
                plan, out, overwrite=overwrite, workers=workers, scheduler=scheduler, on_progress=on_progress
            )
        except (KeyboardInterrupt, SystemExit):
            _errors.print("stopped: the same command goes on with the runs that are not finished", highlight=False)
            raise
    kept = folder_of_runs(out)
    if kept.exists():
        _errors.print(f"runs of another recipe are still in {escape(str(kept))}", highlight=False)
    return ds


@app.command()
def download(
    dataset: Annotated[str, typer.Argument(help="Name of a dataset of images.")],
    folder: Annotated[Path | None, typer.Option(help="Where to put it, instead of the usual place.")] = None,
) -> None:
    """Get a dataset of images to train on from where it is published."""
    with needs("a dataset of images"):
        from predspace_widgets.training import datasets

    _console.print(f"{dataset} is in {escape(str(datasets.download(dataset, folder)))}", highlight=False)


@app.command("import")
def import_(
    src: Annotated[Path, typer.Argument(help="A published picture (.pkl), a folder of preds_<seed>.h5, an array.")],
    data: Annotated[Path, typer.Argument(help="Dataset to write: .zarr.zip, .zarr or .nc.")],
    tasks: Annotated[str | None, typer.Option(help="Names of the tasks, in the order of SRC: a,b,c.")] = None,
    epochs: Annotated[
        str | None,
        typer.Option(help="Epochs of the checkpoints of a run, 0,0.5,1:40 or 0:5:0.2,6:40; 'checkpoints' or 'paper'."),
    ] = None,
    seeds: Annotated[str | None, typer.Option(help="Numbers of the seeds: 0,1,2 or 0:4.")] = None,
    method: Annotated[str | None, typer.Option(help="How all networks were trained.")] = None,
    signs: Annotated[
        str | None, typer.Option(help="Where signs of eigenvalues are, if SRC does not tell: flags or signed.")
    ] = None,
    max_size: Annotated[int | None, typer.Option(help="Largest pickle that is read, in MB.", min=1)] = None,
    array: Annotated[str | None, typer.Option(help="Name of the predictions, in a file of several arrays.")] = None,
    labels: Annotated[str | None, typer.Option(help="File of the true labels, or their name in SRC.")] = None,
    logits: Annotated[
        bool | None, typer.Option("--logits/--probs", help="What an array holds; it is never guessed to be logits.")
    ] = None,
    row_tolerance: Annotated[
        float | None, typer.Option(help="How far from 1 the sum of a row of probabilities may be.", min=0)
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="CSV or YAML: task, method, seed, epoch, step, run; attributes.")
    ] = None,
    classes: Annotated[Path | None, typer.Option(help="Folder of lists of the classes of tasks, <task>.json.")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the dataset, instead of the name of SRC.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace DATA where it is there already.")] = False,
) -> None:
    """Make a dataset of published or foreign data, and say what was odd about these."""
    from dask.diagnostics import ProgressBar

    from predspace_widgets.trajectories import check_path, import_trajectories, save_trajectories
    from predspace_widgets.trajectories.importers import numbers_of, report_of

    check_path(data)
    if data.exists() and not overwrite:
        raise FileExistsError(f"{data} is there already: --overwrite replaces it")
    ds = import_trajectories(
        src,
        tasks=next(csv.reader([tasks])) if tasks else None,
        epochs=epochs if epochs in (None, "checkpoints", "paper") else numbers_of(epochs, "--epochs"),
        seeds=None if seeds is None else list(map(int, numbers_of(seeds, "--seeds", whole=True))),
        method=method,
        signs=signs,
        max_bytes=max_size and max_size * 10**6,
        array=array,
        labels=labels,
        logits=logits,
        row_tolerance=row_tolerance,
        runs=runs,
        classes=classes,
        title=title,
    )
    with ProgressBar(minimum=1.0, out=sys.stderr):  # of what takes longer than a second
        save_trajectories(ds, data)
    for line in report_of(ds):
        _console.print(f"- {escape(line)}", highlight=False, soft_wrap=True)
    n_runs = len(set(ds["run"].values.tolist()))
    _console.print(f"{n_runs} runs imported into {escape(str(data))}", highlight=False, soft_wrap=True)


@app.command()
def info(
    path: Annotated[str, typer.Argument(help="A dataset: .zarr.zip, .zarr or .nc; or demo or sweep.")],
    verify: Annotated[bool, typer.Option("--verify", help="Read all of it, and name everything damaged.")] = False,
    max_size: Annotated[int | None, _MAX_SIZE] = None,
) -> None:
    """Say what a dataset holds, how many axes its picture needs, and every problem it has."""
    from predspace_widgets.trajectories import open_trajectories, verify_trajectories

    allowed = {} if max_size is None else {"max_bytes": max_size * 10**6}
    path = _path_of(path)
    verified = verify_trajectories(path, show_progress=_errors.is_terminal, **allowed) if verify else ""
    ds = open_trajectories(path, **allowed)
    for name, text in [*_facts(ds, path), *([("verified", verified)] if verify else [])]:
        _console.print(f"[bold]{name:<18}[/]{escape(text)}", highlight=False, soft_wrap=True)


def _facts(ds: xr.Dataset, path: str) -> list[tuple[str, str]]:
    """Name and text of each line that `info` prints."""
    from predspace_widgets.trajectories.divergence import diverged
    from predspace_widgets.trajectories.importers import report_of

    values = {name: list(dict.fromkeys(ds[name].values.tolist())) for name in ("run", "task", "method", "seed")}
    epochs = ds["epoch"].values
    stress: list[float] = []
    if ds.sizes["checkpoint"] > 1:
        stress = ds.predspace.inpca(min(5, ds.sizes["checkpoint"]))["explained_stress"].values.tolist()
    axes = ", ".join(f"{k}: {share:.4f}" for k, share in enumerate(stress, start=1))
    facts = [
        ("title", str(ds.attrs.get("title", ""))),
        ("source", str(ds.attrs.get("source", ""))),
        ("created by", str(ds.attrs.get("created_by", ""))),
        ("dimensions", ", ".join(f"{name} {size}" for name, size in ds.sizes.items())),
        ("variables", ", ".join(map(str, ds.data_vars))),
        ("runs", str(len(values["run"]))),
        *(
            (f"{name}s", f"{len(values[name])}: {', '.join(map(str, values[name]))}")
            for name in ("task", "method", "seed")
        ),
        *(("diverged", f"{name}: {reason}" if reason else name) for name, reason in diverged(ds).items()),
        ("epochs", f"{epochs.min():g} to {epochs.max():g}"),
        *([("classes", ", ".join(map(str, ds["class"].values)))] if "class" in ds.coords else []),
        ("size", f"{_bytes_on_disk(path) / 1e6:.1f} MB"),
        ("explained stress", f"{axes} (of the first axes together)" if axes else "one checkpoint makes no picture"),
        *_facts_of_picture(ds),
        *[("imported", line) for line in report_of(ds)],
        ("problems", "none"),
    ]
    return [(name, text) for name, text in facts if text]


def _facts_of_picture(ds: xr.Dataset) -> list[tuple[str, str]]:
    """What else `info` prints of a dataset without predictions."""
    from predspace_widgets.analysis.frame import knows_all_axes, stored_spectrum

    if "probs" in ds:
        return []
    spectrum = stored_spectrum(ds)
    signs = f"{(spectrum > 0).sum():,} positive, {(spectrum < 0).sum():,} imaginary"
    first = [str(axis) for axis, value in enumerate(spectrum[:10], start=1) if value < 0]
    facts = [
        ("predictions", "none: a published picture, of which axes and stress are those of the whole set"),
        ("eigenvalues", signs + (f"; of the first ten, imaginary: {', '.join(first)}" if first else "")),
    ]
    if not knows_all_axes(ds):
        facts.append(
            ("caution", "nothing says which axes were left out: the stress counts those that are there as all")
        )
    return facts


def _path_of(name: str) -> str:
    """Where a dataset is: a name of one that ships with the package means that, unless a file is called so."""
    from predspace_widgets.trajectories.demo import Demo, demo_path

    shipped: dict[str, Demo] = {"demo": "digits", "sweep": "sweep"}
    return str(demo_path(shipped[name])) if name in shipped and not Path(name).exists() else name


def _joined(datasets: list[xr.Dataset], names: list[str]) -> xr.Dataset:
    """Several datasets as one; what is doubtful of it is a line."""
    from predspace_widgets.trajectories import join

    with warnings.catch_warnings(record=True) as doubts:
        warnings.simplefilter("always", UserWarning)
        joined = join(datasets, names=names)
    for doubt in doubts:
        _errors.print(f"[yellow]warning:[/] {escape(str(doubt.message))}", highlight=False, soft_wrap=True)
    return joined


def _short_name(path: str) -> str:
    """What a dataset is called in the explorer: its file name without the ending."""
    return path.rstrip("/").rpartition("/")[2].removesuffix(".zip").removesuffix(".zarr").removesuffix(".nc")


def _bytes_on_disk(path: str) -> int:
    import fsspec

    files, root = fsspec.url_to_fs(path)
    return int(files.du(root))


def main() -> None:
    """Run the command; an error that a user can cause is one line for each problem and exit code 2."""
    from predspace_widgets.trajectories.termination import ended_by_sigterm

    try:
        with ended_by_sigterm():
            app()
    except (ValueError, OSError, MissingExtraError) as error:
        for line in _lines(error):
            _errors.print(f"[red]error:[/] {escape(line)}", highlight=False, soft_wrap=True)
        sys.exit(2)


def _lines(error: Exception) -> list[str]:
    """What is printed of an error: each of several problems, those of a dataset after where it is; else one line."""
    from predspace_widgets.trajectories import TrajectoriesError

    if isinstance(error, TrajectoriesError):
        lines = [f"{error.what}: {problem}" for problem in error.problems]
    else:
        texts = getattr(error, "problems", None) or [str(error)]
        lines = [" ".join(text.split()) or type(error).__name__ for text in texts]
    return [re.sub(r"\[Errno -?\d+\] ", "", line) for line in lines]
