"""The bundled on-chain program: C source (frt.c and what it includes), compiler driver, linker, seeded bugs.

frt.so is committed, so that running a local chain needs no compiler; `python -m ops.localnet.program build --check`
proves that it is the build of its source.
"""
