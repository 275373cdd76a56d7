"""Coverage-guided fuzzing of every reader, of `verify` and of policies: `make fuzz`, or `python -m fuzz --help`.

A target is one function of bytes, and the first line of its docstring is its invariant. The same targets run briefly,
without atheris, in the ordinary tests (tests/test_fuzz.py).
"""
