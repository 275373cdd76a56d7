"""The session (docs/protocol.md): sans-IO state machines for both ends. No sockets, files, clocks or randomness of its
own: bytes, moments and a `Draw` come in, bytes and values go out."""
