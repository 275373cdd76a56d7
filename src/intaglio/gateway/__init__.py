"""The data centre's service: takes hellos and frames over HTTP, accepts what `verify` and policy accept, stores every
record once with where it came from, and quarantines the rest with its reasons."""
