"""The bundled on-chain program: C source, linker, build."""
