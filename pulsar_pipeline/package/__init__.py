"""`functions/NAME` in, a deterministic archive out; and back from archive to folder. Called by rollout, runtime, cli.

`build.py` makes a package: `sources.py` picks the function's files, `closure.py` the modules of this product it needs,
`requirements.py` reads its lock, `wheels.py` fetches what that pins, `provided.py` knows what a runtime has anyway,
`archive.py` writes, `trial.py` runs the result in a clean environment. `unpack.py` lays a package out for an instance,
`verify.py` checks one that came from elsewhere, `manifest.py` is the description inside.
"""
