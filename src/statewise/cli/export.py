"""`statewise export`: a policy and its risk in a file that needs no JAX."""

from __future__ import annotations

from statewise.cli import arguments, named
from statewise.cli.status import OK


def export(argv: list[str]) -> int:
    """Write the file, and say what the method has none of."""
    args = arguments.parse(arguments.Export, argv, "export")
    named.allow(args.allow_module)
    from statewise.monitor.sources import export_from

    folder = args.run if args.run.is_dir() else args.run.parent
    path = args.output or folder / {"numpy": "exported.safetensors", "onnx": "exported.onnx"}[args.format]
    if not path.parent.is_dir() or path.is_dir() or path == args.run:
        raise ValueError(f"output: {path} is not allowed; it must be a new file, or an older export, in a folder")
    if args.format == "onnx":
        try:
            from statewise.monitor.onnx_graph import write_onnx as write
        except ImportError as error:
            raise ValueError(
                f"format: onnx needs the package onnx ({error}); pip install 'statewise[export]'"
            ) from error
    else:
        from statewise.monitor.export import write_numpy as write
    exported = export_from(args.run, args.checkpoint)
    write(path, exported)
    for name, reason in exported.card["absent"].items():
        print(f"absent   {name}: {reason}")
    print(f"file     {path}")
    return OK
