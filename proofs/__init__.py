"""ProVerif models of the protocol, and what they must give: `make prove`, docs/proofs.md."""
