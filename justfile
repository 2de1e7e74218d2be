# Recipes are steps of .ci/run, so that both do the same. `just --list` shows them.

# Format, clippy, unit tests, the rules of the house, documents: while you work.
fast:
    .ci/run format lint unit tidy doc_tests

# The README's test command.
test:
    cargo test

# All that must hold before a change lands.
ci:
    .ci/run

# One step of .ci/run by its name, such as `just step model`.
step +names:
    .ci/run {{names}}

# Binaries, packages, image, SBOM, licences and checksums into target/release-artifacts; --twice compares two builds.
release *options:
    etc/release/release.sh {{options}}

# Speed and memory, measured on this machine.
bench:
    cargo bench
