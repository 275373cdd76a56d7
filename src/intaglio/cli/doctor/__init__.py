"""`intaglio doctor`: looks at a host or at a data centre and says what is wrong, what it means, and what to do.

Probes see a `Machine` and nothing else, so that every one of them is tested on a machine that never existed. They
change nothing, and they reach the network only where somebody names a URL.
"""
