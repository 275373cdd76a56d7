"""Alembic's folder: `env.py` and the versions. Part of the wheel; run when a gateway starts."""
