"""What one `[[accept]]` table may demand: one module a kind of TEE, of rules that each judge one thing.

Every rule of a table must pass; a rule that can't be judged does not. What rules read was verified: they are only
applied to evidence that is genuine.
"""
