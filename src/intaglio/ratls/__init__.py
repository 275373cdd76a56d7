"""RA-TLS: X.509 certificates that carry evidence, made and verified, for peers built with Gramine, Open Enclave or EGo.

Such a certificate says that a genuine enclave once had this key quoted. It does not say that the enclave is at the
other end of a connection, nor that anything is fresh: docs/ratls.md. The main protocol binds the session's secret.
"""
